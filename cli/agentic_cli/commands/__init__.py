"""The commands, one module a group of them: options in, calls to the API, text out. Each loads only what it needs."""
