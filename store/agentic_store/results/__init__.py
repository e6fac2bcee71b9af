"""Results as JSON text, in rows and in an object store."""
