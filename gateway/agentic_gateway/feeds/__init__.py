"""The event log as messages: read once a session, encoded once, given to any number of clients."""
