"""Builds the images: the base, layers of our own, and a store of what is built. Standard library only."""
