"""What the operator knows of the cluster: watches, an index, reads and the periodic resync."""
