"""Benchmarks: each prints ratios against a floor that it measures in the same run; none is a test."""
