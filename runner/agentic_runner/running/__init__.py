"""The steps of a run: the thread, the project's graph, its execution over lost connections, the wait for people."""
