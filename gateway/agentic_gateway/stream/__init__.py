"""A session's messages over WebSocket and Server-Sent Events, and what people send back."""
