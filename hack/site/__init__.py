"""Builds the guide as a site: its pages, and a reference that is read from the code."""
