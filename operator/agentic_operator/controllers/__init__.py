"""Carry out decisions: the I/O of each pass. Nothing imports them but the entry point."""
