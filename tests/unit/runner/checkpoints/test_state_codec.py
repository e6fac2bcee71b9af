"""Values of a state come back as they were, or are refused when they are saved; what a checkpoint names is not run."""

import base64
import dataclasses
import decimal
import importlib
import ipaddress
import math
import pathlib
import re
import subprocess
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage
from langgraph.checkpoint.serde import jsonplus
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command, Interrupt, Send
from pydantic import SecretStr

from agentic_runner.checkpoints.encrypted_saver import EncryptingSerializer, is_inline, is_storable_json
from agentic_runner.checkpoints.not_restorable import NotRestorable
from agentic_runner.checkpoints.state_codec import StateCodec
from agentic_runner.checkpoints.state_types import StateTypes, read_allowed
from agentic_runner.keyring import Keyring, parse_keyring
from agentic_runner.project.folders import find_import_folders
from tests.support import state_samples as samples

KEY = base64.b64encode(bytes(32)).decode()


def make_codec(**options: Any) -> StateCodec:
    return StateCodec(StateTypes(**options))


def back(value: Any) -> Any:
    """Return what another process gets: nothing of the objects is shared, and nothing was seen before."""
    return make_codec().unpack(make_codec().pack(value))


OBJECTS: list[Any] = [
    *(samples.Colour.RED, samples.Colour.PAIR, samples.Level.LOW, samples.Mode.FAST, samples.Rights.READ),
    samples.Rights.READ | samples.Rights.WRITE,
    HTTPStatus.OK,
    samples.Point(1, samples.Point(2)),
    *(samples.Note("a", ["b"], 3), samples.Frozen(samples.Frozen(1)), samples.Strict(a=1, b=2)),
    samples.Report(reportTitle="t", lines=[samples.Report.Line(text="l")], key=SecretStr("k")),
    samples.Report.Line(text="nested class"),
    samples.Reports(items=[samples.Report()]),
    samples.Names(["a"]),
    samples.Old(n=2),
    *(HumanMessage("hi", id="1"), AIMessage("x", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c"}])),
    *(
        ToolMessage("r", tool_call_id="c", artifact={"a": 1}),
        RemoveMessage(id="1"),
        Document("text", metadata={"a": 1}),
    ),
    *(Send("n", {"a": samples.Frozen(1)}), Interrupt({"q": 1}, id="i"), Command(goto="n", update={"a": 1})),
    *(datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), date(2026, 1, 2), time(1, 2, 3), timedelta(1, 2, 3), UTC),
    *(ZoneInfo("Europe/Berlin"), uuid.UUID(int=7), decimal.Decimal("1.10"), pathlib.PosixPath("/a/b")),
    *({1, 2}, {(1, (2, 3))}, frozenset({"a"}), deque([1, 2]), re.compile("a+", re.IGNORECASE)),
    *(ipaddress.ip_address("::1"), ipaddress.ip_network("10.0.0.0/8"), b"bytes"),
]


@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: f"{type(value).__name__}-{value!r}"[:60])
def test_an_object_comes_back_equal_and_of_its_type_wherever_it_stands(value: Any) -> None:
    for each in (value, [value], {"a": {"b": [value]}}, samples.Frozen({"in": value})):
        found = back(each)
        assert found == each
        assert type(found) is type(each)


def test_an_array_of_bytes_that_is_the_whole_value_comes_back() -> None:
    serde = EncryptingSerializer(Keyring())
    assert serde.loads_typed(serde.dumps_typed(bytearray(b"array"))) == bytearray(b"array")


def test_arrays_of_numbers_come_back() -> None:
    array = np.arange(6).reshape(2, 3)
    found = back({"a": samples.Frozen([array])})["a"].value[0]
    assert (found == array).all()
    assert found.dtype == array.dtype


def test_a_field_that_no_constructor_takes_comes_back() -> None:
    note = samples.Note("abc", ["t"], 2)
    note.length = 99
    assert back(note) == note


@pytest.mark.parametrize(
    "value",
    ["half \ud83d", {"half \udc00": 1}, 2**64, -(2**63) - 1, 10**40, {2**70: "x"}, {(1, "\ud800"): 1}, "\0", "a\0b"],
    ids=repr,
)
def test_texts_and_integers_that_messagepack_lacks_come_back(value: Any) -> None:
    for each in (value, [value, {"a": value}], samples.Frozen([value])):
        assert back(each) == each


@pytest.mark.parametrize("value", [math.inf, -math.inf, -0.0, 1e22, 5e-324, math.nan], ids=repr)
def test_numbers_come_back_digit_by_digit(value: float) -> None:
    assert repr(back([value])) == repr([value])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_plain_data_comes_back_as_it_was(value: Any) -> None:
    assert repr(back(value)) == repr(value)
    assert repr(back(samples.Frozen(value))) == repr(samples.Frozen(value))


@given(JSON.filter(lambda value: is_storable_json(value)))
def test_the_bytes_are_those_of_langgraphs_own_serializer(value: Any) -> None:
    try:
        theirs = JsonPlusSerializer().dumps_typed(value)
    except ormsgpack.MsgpackEncodeError:
        return  # an integer beyond 64 bits, which it does not have
    assert EncryptingSerializer(Keyring()).dumps_typed(value) == theirs


@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_objects_are_saved_as_langgraphs_own_serializer_saves_them(value: Any) -> None:
    assert EncryptingSerializer(Keyring()).dumps_typed([value]) == JsonPlusSerializer().dumps_typed([value])


def make_local() -> Any:
    @dataclasses.dataclass
    class Inside:
        a: int = 1

    return Inside()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (samples.Plain(), "no pydantic model, dataclass, enum or named tuple"),
        (ValueError("x"), "exceptions are not restored"),
        (make_local(), "defined inside of a function"),
        (make_local, "keep plain data"),
        (sys, "keep plain data"),
        (object(), "keep plain data"),
    ],
    ids=["plain object", "exception", "local class", "function", "module", "object"],
)
def test_what_could_not_be_restored_is_refused_when_it_is_saved(value: Any, reason: str) -> None:
    for each in (value, [{"a": value}], samples.Frozen(value)):
        with pytest.raises(NotRestorable, match=reason) as refused:
            make_codec().pack(each)
        assert type(value).__qualname__ in refused.value.type


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotRestorable, match="contains itself"):
        make_codec().pack(value)


def test_an_allowed_type_is_restored() -> None:
    allowed = read_allowed(
        {"checkpointer": {"serde": {"allowed_msgpack_modules": [["tests", "support", "state_samples", "Plain"]]}}}
    )
    assert allowed == [("tests.support.state_samples", "Plain")]
    assert StateTypes(allowed).find_reason_against(samples.Plain) is None


def test_a_class_that_another_hides_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = samples.Frozen(1)
    monkeypatch.setattr(samples, "Frozen", dataclasses.make_dataclass("Frozen", ["value"]))
    with pytest.raises(NotRestorable, match="a name of its own"):
        make_codec().pack(hidden)


@pytest.fixture
def project(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """A project whose node imports one module, and which has a script that nothing imports."""
    (tmp_path / "a_project").mkdir()
    (tmp_path / "a_project" / "__init__.py").touch()
    point = "from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\n"
    (tmp_path / "a_project" / "late.py").write_text(point)
    (tmp_path / "a_project" / "script.py").write_text(point + "open(__file__ + '.ran', 'w')\n")
    (tmp_path / "a_project" / "graph.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .script import P\n"
        "def node():\n    from .late import P\n    return P(1)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("a_project")]:
        del sys.modules[name]


def test_what_the_projects_source_imports_in_a_node_is_restored_and_nothing_else_is_imported(
    project: pathlib.Path,
) -> None:
    graph = importlib.import_module("a_project.graph")
    state_types = StateTypes(folders=find_import_folders(project, ["."], {}))
    state_types.note_loaded()
    value = graph.node()
    packed = StateCodec(state_types).pack(value)
    for name in ("a_project.late", "a_project.graph"):
        del sys.modules[name]
    # Another process, in which the graph is loaded and the node has not run.
    importlib.import_module("a_project.graph")
    restored = StateCodec(StateTypes(folders=[project])).unpack(packed)
    assert (type(restored).__name__, restored) == ("P", (1,))
    planted = ext(jsonplus.EXT_CONSTRUCTOR_KW_ARGS, "a_project.script", "P", {"x": 1})
    assert StateCodec(StateTypes(folders=[project])).unpack(planted) == {"x": 1}
    assert not (project / "a_project" / "script.py.ran").exists()
    assert "a_project.script" not in sys.modules


def test_what_only_importlib_imports_is_refused(project: pathlib.Path) -> None:
    state_types = StateTypes(folders=[project])
    state_types.note_loaded()
    value = importlib.import_module("a_project.late").P(1)
    with pytest.raises(NotRestorable, match="import it at the top"):
        StateCodec(state_types).pack(value)


def test_what_the_runner_had_loaded_counts_where_the_project_imports_it() -> None:
    before = StateTypes(before=["tests.support.state_samples"])
    name = "tests.support.state_samples"
    assert before.find(name, "Report") is None
    assert before.find(name, "Note") is None
    assert before.find(name, "Colour") is not None
    assert before.find(name, "Point") is not None
    with pytest.raises(NotRestorable, match="the project does not import 'tests'"):
        StateCodec(before).pack(samples.Report())
    imports = StateTypes(before=[name], folders=[pathlib.Path(__file__).parent])
    assert imports.find(name, "Report") is not None


@pytest.mark.parametrize("dtype", ["O", [("a", "i4"), ("b", "f8")]], ids=["objects", "records"])
def test_arrays_that_would_lose_what_they_hold_are_refused(dtype: Any) -> None:
    with pytest.raises(NotRestorable, match="tolist"):
        make_codec().pack([np.zeros(2, dtype=dtype)])


def ext(code: int, *content: Any) -> bytes:
    return ormsgpack.packb(ormsgpack.Ext(code, ormsgpack.packb(content)))


CODES = range(8)
NAMED: list[tuple[str, str, Any]] = [
    ("builtins", "eval", "CALLED.append(1)"),
    ("builtins", "exec", "CALLED.append(1)"),
    ("os", "system", "exit 1"),
    ("subprocess", "Popen", ["false"]),
    ("subprocess", "getoutput", "false"),
    ("importlib", "import_module", "antigravity"),
    ("antigravity", "fly", ""),
    ("this", "s", ""),
    ("tests.support.state_samples", "Plain", "x"),
    ("tests.support.state_samples", "pydantic.BaseModel", {}),
    ("tests.support.state_samples", "SecretStr", "x"),
    ("agentic_runner.config", "RunConfig", {}),
    ("agentic_core.contract", "ExitCode", 0),
    ("pathlib", "Path.touch", "x"),
    ("pathlib", "os.system", "x"),
    ("", "", ""),
]


@pytest.mark.parametrize(("module", "name", "argument"), NAMED, ids=lambda value: str(value)[:40])
def test_a_checkpoint_that_names_code_runs_and_imports_nothing(module: str, name: str, argument: Any) -> None:
    before = set(sys.modules)
    for code in CODES:
        for content in (argument, [argument], {"value": argument}):
            found = make_codec().unpack(ext(code, module, name, content, "__init__"))
            assert not isinstance(found, samples.Plain)
            assert type(found).__module__ in ("builtins", "langgraph.checkpoint.serde.types")
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    "method", ["today", "now", "fromtimestamp", "strptime", "model_validate_json", "__reduce__", "parse_file"]
)
def test_no_method_is_called_but_the_one_that_dates_are_saved_by(method: str) -> None:
    content = ext(jsonplus.EXT_METHOD_SINGLE_ARG, "datetime", "datetime", "2026-01-02", method)
    assert make_codec().unpack(content) == "2026-01-02"
    model = ext(jsonplus.EXT_METHOD_SINGLE_ARG, "tests.support.state_samples", "Old", "{}", method)
    assert make_codec().unpack(model) == "{}"


def test_a_type_is_made_in_its_own_way_only() -> None:
    for code in (jsonplus.EXT_CONSTRUCTOR_SINGLE_ARG, jsonplus.EXT_CONSTRUCTOR_POS_ARGS, jsonplus.EXT_PYDANTIC_V1):
        assert make_codec().unpack(ext(code, "tests.support.state_samples", "Frozen", {"value": 1})) == {"value": 1}


def test_another_process_restores_them_all(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "packed"
    file.write_bytes(make_codec().pack(OBJECTS))
    code = (
        "import sys, tests.support.state_samples\n"
        "from agentic_runner.checkpoints.state_codec import StateCodec\n"
        "from agentic_runner.checkpoints.state_types import StateTypes\n"
        "import pathlib\n"
        "print(repr(StateCodec(StateTypes()).unpack(pathlib.Path(sys.argv[1]).read_bytes())))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.strip().replace("frozenset({'a'})", "") == repr(OBJECTS).replace("frozenset({'a'})", "")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((each, True) for each in ("", "a", "ä", 1, 10**40, True, 1.5, 0.0, None)),
        *((each, False) for each in ("\0", "\ud800", "agentic_sealed:json:e30=", math.nan, math.inf, -0.0, 1e22, 1e-7)),
        *((each, False) for each in (samples.Mode.FAST, samples.Level.LOW)),
    ],
    ids=repr,
)
def test_what_the_databases_json_would_change_is_no_part_of_it(value: Any, expected: bool) -> None:
    assert is_inline(value) is expected


@pytest.mark.parametrize("make", [Keyring, lambda: parse_keyring(KEY)], ids=["plain", "encrypted"])
def test_json_that_postgresql_refuses_goes_as_a_text(make: Callable[[], Keyring]) -> None:
    serde = EncryptingSerializer(make())
    value = {"a": "\0", "b": [math.inf, "\ud800"], "c": -0.0}
    sealed = serde.seal_json(value)
    assert is_storable_json({"x": next(iter(sealed.values()))[: len("agentic")]})
    assert repr(serde.open_json(sealed)) == repr(value)
