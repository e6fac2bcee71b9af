"""Finds outliers in a public data set, and writes a report."""
