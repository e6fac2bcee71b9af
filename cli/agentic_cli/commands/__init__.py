"""The commands, one module for each group: options in, API calls, text out. Each module loads only what it needs."""
