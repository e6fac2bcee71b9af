"""Owns the local Kubernetes cluster: its binaries, its processes, its one folder of state.

The tool runs on a fresh clone before any virtual environment exists, so the whole package uses the
standard library only.
"""
