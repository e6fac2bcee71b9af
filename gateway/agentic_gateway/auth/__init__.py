"""Who calls, and what they may do: decided by the API server."""
