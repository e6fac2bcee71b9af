"""Real LangGraph graphs, with the runner's process settings."""

import os

# As the runner's entry point does, before anything imports LangGraph, which reads it once.
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
