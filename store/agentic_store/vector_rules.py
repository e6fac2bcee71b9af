"""What keeps a project from searching its long-term store by vectors. Pure."""


def explain_obstacle(wanted: int, present: int | None, *, is_encrypting: bool) -> str | None:
    """Return why vectors of ``wanted`` dimensions cannot be used, and the remedy; None if they can."""
    if is_encrypting:
        return (
            "items are encrypted, and their vectors would tell what they say: search by namespace and filter, or keep"
            " items in plain text (ENCRYPTION=off)"
        )
    if present is None:
        return (
            "the database has no tables for vectors: an administrator makes them by"
            f" `agentic migrate vectors --dims {wanted}`, on a server with pgvector"
        )
    if present != wanted:
        return (
            f"the database has vectors of {present} dimensions and can have those of one dimension alone, and this"
            f" project wants {wanted}: use embeddings of {present} dimensions, or another database"
        )
    return None
