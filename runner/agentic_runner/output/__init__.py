"""What leaves the process, with secrets masked: printed output, log lines, the termination message."""
