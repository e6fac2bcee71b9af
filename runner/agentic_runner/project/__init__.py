"""The author's project: langgraph.json, its graphs and their schemas."""
