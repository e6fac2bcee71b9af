"""A small agent to talk to: tools, memory that outlives a conversation, and orders that a second person approves."""
