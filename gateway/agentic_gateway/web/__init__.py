"""Headers and files for browsers."""
