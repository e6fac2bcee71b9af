"""Output of the process with secrets masked: printed text, log lines, the termination message."""
