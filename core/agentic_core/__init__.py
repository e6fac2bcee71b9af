"""What every part of agentic-operator agrees on: resources, lifecycle, names, run contract and errors.

This package does no I/O and imports no client and no framework, so that the operator, the runner, the gateway
and the command line can all stand on it.
"""

__version__ = "0.1.0"
