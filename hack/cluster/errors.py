"""Errors of the cluster tool, named by what the person in front of the terminal can do about them."""


class ClusterError(Exception):
    """Something went wrong that running the command again will not cure by itself."""


class MissingTool(ClusterError):
    """The machine lacks a program or a right; the message says how to get it."""


class NotReady(ClusterError):
    """A part did not become healthy in time; the message names its log file."""
