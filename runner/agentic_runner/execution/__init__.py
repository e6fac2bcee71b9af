"""A run of the graph: where it enters the thread, its progress and its failures."""
