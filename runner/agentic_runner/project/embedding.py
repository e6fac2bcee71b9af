"""The embeddings that a project names in ``store.index.embed``: a model of a provider, or a function of its own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings
from langgraph.store.base import ensure_embeddings

from agentic_core.errors import GraphLoadError, PermanentError
from agentic_runner.output.redaction import describe
from agentic_runner.project.langgraph_json import Target
from agentic_runner.project.loading import import_attribute

if TYPE_CHECKING:
    from agentic_runner.project.langgraph_json import Project
    from agentic_runner.project.memory import Index


class CheckedEmbeddings(Embeddings):
    """A project's embeddings; their results are checked before the database could refuse them with its own message."""

    def __init__(self, inner: Embeddings, dims: int) -> None:
        self._inner = inner
        self._dims = dims

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._checked(texts, self._inner.embed_documents(texts))

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._checked(texts, await self._inner.aembed_documents(texts))

    async def aembed_query(self, text: str) -> list[float]:
        return (await self.aembed_documents([text]))[0]

    def _checked(self, texts: Sequence[str], found: Any) -> list[list[float]]:
        vectors = [[float(number) for number in vector] for vector in found]
        if len(vectors) != len(texts):
            raise PermanentError(
                f"/store/index/embed returned {len(vectors)} embeddings for {len(texts)} texts: it must return one each"
            )
        for vector in vectors:
            if len(vector) != self._dims:
                raise PermanentError(
                    f"/store/index/embed returned an embedding of {len(vector)} dimensions: langgraph.json declares"
                    f" {self._dims} in /store/index/dims"
                )
        return vectors


def load_embeddings(project: "Project", index: "Index") -> CheckedEmbeddings:
    """Return the embeddings of an index; raise :class:`GraphLoadError` with the reason if they cannot be loaded."""
    target = _find_target(index.embed)
    try:
        inner = ensure_embeddings(index.embed if target is None else _check_kind(import_attribute(project, target)))
    except Exception as error:
        raise GraphLoadError(f"{index.embed!r} cannot be loaded: {describe(error)}") from error
    return CheckedEmbeddings(inner, index.dims)


def _find_target(embed: str) -> Target | None:
    """Return the project's own attribute that ``embed`` names; None if it names a provider's model."""
    where, _, attribute = embed.rpartition(":")
    if where.endswith(".py") or "/" in where:
        return Target("store.index.embed", where, None, attribute)
    # A provider is one word; the path of a project's attribute contains a dot.
    if "." in where and all(part.isidentifier() for part in [*where.split("."), attribute]):
        return Target("store.index.embed", None, where, attribute)
    return None


def _check_kind(value: Any) -> Any:
    if isinstance(value, Embeddings) or callable(value):
        return value
    raise TypeError(f"it is {type(value).__name__!r}: name a function of texts, or LangChain embeddings")
