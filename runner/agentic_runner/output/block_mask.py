"""Masks secrets in texts that come in parts: a secret may be spread over several of them."""

from agentic_runner.output.redaction import Redactor


class BlockMask:
    """Texts of blocks, each in its parts, with the secrets masked.

    The end of a text that may be the beginning of a secret is held back until the next part, or the block's end.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held: dict[tuple[str, int], str] = {}

    def mask(self, block: tuple[str, int], text: str) -> str:
        """Return what may be shown now of a block's text with its next part."""
        text = self._held.pop(block, "") + text
        cut = self._redactor.find_cut(text)
        if cut < len(text):
            self._held[block] = text[cut:]
        return self._redactor.redact(text[:cut])

    def end(self, block: tuple[str, int]) -> str:
        """Return what was held back of a block that ended."""
        return self._redactor.redact(self._held.pop(block, ""))
