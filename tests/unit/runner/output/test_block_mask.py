"""A secret that comes in parts is masked like one that comes at once."""

from hypothesis import given
from hypothesis import strategies as st

from agentic_runner.output.block_mask import BlockMask
from agentic_runner.output.redaction import Redactor

BLOCK = ("m", 0)


def show(redactor: Redactor, parts: list[str]) -> str:
    mask = BlockMask(redactor)
    return "".join([*(mask.mask(BLOCK, part) for part in parts), mask.end(BLOCK)])


@given(
    st.lists(st.text("abcxy ", max_size=6), max_size=30), st.sets(st.text("abcx", min_size=4, max_size=7), max_size=4)
)
def test_no_secret_is_shown_however_its_text_is_cut(parts: list[str], secrets: set[str]) -> None:
    redactor = Redactor()
    redactor.add(*secrets)
    shown = show(redactor, parts)
    whole = "".join(parts)
    # Where secrets overlap, what is left of the second may be shown, as in one text; a whole one never is.
    assert not any(secret in shown for secret in secrets)
    if not any(secret in whole for secret in secrets):
        assert shown == whole


def test_what_cannot_be_the_beginning_of_a_secret_is_not_held_back() -> None:
    redactor = Redactor()
    redactor.add("sesame-open", "same")
    mask = BlockMask(redactor)
    assert mask.mask(BLOCK, "I say ses") == "I say "
    assert mask.mask(BLOCK, "ame") == ""
    assert mask.mask(BLOCK, "-open, ") == "***, "
    assert mask.mask(BLOCK, "se") == ""
    assert mask.mask(("m", 1), "rvu!") == "rvu!"
    assert mask.mask(BLOCK, "rvus") == "servu"
    assert mask.end(BLOCK) == "s"
