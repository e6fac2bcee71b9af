"""``make demo``: a cluster, the operator and an example, to a result."""
