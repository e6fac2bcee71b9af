"""The gateway: HTTP, WebSocket and SSE over the custom resources and the event log."""
