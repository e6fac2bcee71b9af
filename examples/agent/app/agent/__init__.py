"""A small agent with two tools, on any endpoint that speaks the chat-completions protocol."""
