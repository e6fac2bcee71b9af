"""Masks secrets in texts that arrive in parts: a secret may be split over several parts."""

from agentic_runner.output.redaction import Redactor


class BlockMask:
    """Texts of blocks, each in its parts, with the secrets masked.

    The end of a text that may be the beginning of a secret is held back until the next part, or the block's end.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held: dict[tuple[str, int], str] = {}

    def mask(self, block: tuple[str, int], text: str) -> str:
        """Add the next part of a block's text; return what of it can be shown now."""
        text = self._held.pop(block, "") + text
        cut = self._redactor.find_cut(text)
        if cut < len(text):
            self._held[block] = text[cut:]
        return self._redactor.redact(text[:cut])

    def end(self, block: tuple[str, int]) -> str:
        """Return the held-back rest of a block that ended."""
        return self._redactor.redact(self._held.pop(block, ""))
