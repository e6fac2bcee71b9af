"""The embeddings that a project names: functions, objects, and what is said of those that do not work."""

from pathlib import Path

import pytest

from agentic_core.errors import GraphLoadError, PermanentError
from agentic_runner.project.embedding import load_embeddings
from agentic_runner.project.langgraph_json import Project
from agentic_runner.project.memory import Index

CODE = """
from langchain_core.embeddings import Embeddings

def embed(texts):
    return [[float(len(text)), 0.0] for text in texts]

async def aembed(texts):
    return [[float(len(text)), 1.0] for text in texts]

class Own(Embeddings):
    def embed_documents(self, texts): return embed(texts)
    def embed_query(self, text): return embed([text])[0]

own = Own()
number = 7
def fewer(texts): return embed(texts)[1:]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    (tmp_path / "vectors_of_mine.py").write_text(CODE)
    (tmp_path / "package_of_mine").mkdir()
    (tmp_path / "package_of_mine" / "__init__.py").touch()
    (tmp_path / "package_of_mine" / "vectors.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Project(root=tmp_path)


@pytest.mark.parametrize(
    ("embed", "vector"),
    [
        ("./vectors_of_mine.py:embed", [3.0, 0.0]),
        ("vectors_of_mine.py:aembed", [3.0, 1.0]),
        ("./vectors_of_mine.py:own", [3.0, 0.0]),
        ("package_of_mine.vectors:embed", [3.0, 0.0]),
    ],
)
async def test_a_function_of_either_kind_and_an_object_embed(project: Project, embed: str, vector: list[float]) -> None:
    loaded = load_embeddings(project, Index(2, embed))
    assert await loaded.aembed_documents(["abc"]) == [vector]
    assert await loaded.aembed_query("abc") == vector


def test_a_providers_model_is_made_by_langchain(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    assert load_embeddings(project, Index(1536, "openai:text-embedding-3-small")) is not None


@pytest.mark.parametrize(
    ("embed", "words"),
    [
        ("./vectors_of_mine.py:number", "it is 'int'"),
        ("./vectors_of_mine.py:nothing", "no attribute 'nothing'"),
        ("./nowhere.py:embed", "nowhere.py"),
        ("nobody:model", "nobody"),
        ("../outside.py:embed", "outside.py"),
    ],
)
def test_embeddings_that_cannot_be_loaded_are_named(project: Project, embed: str, words: str) -> None:
    with pytest.raises(GraphLoadError, match="cannot be loaded") as raised:
        load_embeddings(project, Index(2, embed))
    assert words in str(raised.value)


async def test_embeddings_of_another_dimension_or_number_are_refused_with_the_place(project: Project) -> None:
    with pytest.raises(PermanentError, match=r"of 2 dimensions: langgraph\.json declares 3 in /store/index/dims"):
        await load_embeddings(project, Index(3, "./vectors_of_mine.py:embed")).aembed_documents(["abc"])
    with pytest.raises(PermanentError, match="1 embeddings for 2 texts"):
        await load_embeddings(project, Index(2, "./vectors_of_mine.py:fewer")).aembed_documents(["a", "b"])
