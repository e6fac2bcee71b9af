"""Requests to the API server, as the caller or as the gateway itself."""
