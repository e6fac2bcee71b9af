"""Spans of a run: itself, its nodes, its calls of models and tools."""
