"""Runs the guide: the blocks of its pages in their order, each command compared with what the page prints."""
