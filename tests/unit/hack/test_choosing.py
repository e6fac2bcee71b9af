"""Which cluster the commands are about, and what a machine is told that lacks something."""

import io
from pathlib import Path

import pytest

from hack.cluster import deps
from hack.cluster.__main__ import format_status, main
from hack.cluster.errors import ClusterError, MissingTool
from hack.cluster.folders import cache_folder, cluster_folder
from hack.cluster.onenode import OneNode, PartStatus
from hack.cluster.progress import Progress
from hack.cluster.providers import (
    KindCluster,
    Named,
    NamedCluster,
    build_load_command,
    choose,
    is_kind_usable,
    read_named,
    remember,
)


def quiet() -> Progress:
    return Progress(io.StringIO())


def fake_program(folder: Path, name: str, code: int) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\nexit {code}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("environment", "arguments", "expected"),
    [
        pytest.param({}, (None, None), None, id="nothing named"),
        pytest.param({"AGENTIC_KUBECONFIG": "/a"}, (None, None), Named(Path("/a"), ""), id="by variable"),
        pytest.param(
            {"AGENTIC_KUBECONFIG": "/a", "AGENTIC_CONTEXT": "c"}, ("/b", "d"), Named(Path("/b"), "d"), id="by flag"
        ),
    ],
)
def test_a_cluster_is_named(
    environment: dict[str, str], arguments: tuple[str | None, str | None], expected: Named | None
) -> None:
    assert read_named(environment, *arguments) == expected


@pytest.mark.parametrize(
    ("programs", "expected"),
    [
        pytest.param({"docker": 0, "kind": 0}, True, id="both work"),
        pytest.param({"docker": 1, "kind": 0}, False, id="docker is there, its engine is not"),
        pytest.param({"docker": 0}, False, id="no kind"),
        pytest.param({}, False, id="neither"),
    ],
)
def test_kind_is_taken_where_its_engine_answers(
    tmp_path: Path, programs: dict[str, int], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, code in programs.items():
        fake_program(tmp_path, name, code)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert is_kind_usable() is expected
    assert isinstance(choose(tmp_path / "state", None, quiet()), KindCluster if expected else OneNode)


def test_the_first_choice_holds_until_down(tmp_path: Path) -> None:
    state = tmp_path / "state"
    remember(state, NamedCluster(state, Named(Path("/k"), "c"), quiet()))
    found = choose(state, None, quiet(), {"PATH": ""})
    assert isinstance(found, NamedCluster)
    assert found.named == Named(Path("/k"), "c")
    found.down()
    assert isinstance(choose(state, None, quiet(), {"PATH": ""}), OneNode)


@pytest.mark.parametrize("command", ["up", "down", "status", "load", "deps"])
@pytest.mark.parametrize(
    ("made", "folders"), [("one-node", ("run",)), ("kind", ())], ids=["the node of this machine", "kind"]
)
def test_a_named_cluster_beside_one_that_was_made_is_refused_and_nothing_is_written(
    made: str,
    folders: tuple[str, ...],
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state, named = tmp_path / "cluster", tmp_path / "named"
    named.write_text("{}")
    for each in folders:
        (state / each).mkdir(parents=True)
    remember(state, KindCluster(state, quiet()) if made == "kind" else OneNode(state, quiet()))
    (state / "kubeconfig").write_text("its own")
    before = read_all(state)
    monkeypatch.setenv("AGENTIC_CLUSTER_DIR", str(state))
    monkeypatch.setenv("AGENTIC_KUBECONFIG", str(named))
    assert main([command, *(["image"] if command == "load" else [])]) == 1
    assert "end that one with `make cluster-down`" in capsys.readouterr().err
    assert read_all(state) == before


def test_a_kubeconfig_that_is_not_there_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "cluster"
    monkeypatch.setenv("AGENTIC_CLUSTER_DIR", str(state))
    monkeypatch.setenv("AGENTIC_KUBECONFIG", "/nonexistent")
    assert main(["up"]) == 1
    assert "there is no file '/nonexistent'" in capsys.readouterr().err
    assert not state.exists()


def test_a_named_cluster_that_does_not_answer_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state, named = tmp_path / "cluster", tmp_path / "named"
    named.write_text("{}")
    monkeypatch.setenv("AGENTIC_CLUSTER_DIR", str(state))
    monkeypatch.setenv("AGENTIC_KUBECONFIG", str(named))
    fake_program(tmp_path, "kubectl", 1)
    monkeypatch.setattr("hack.cluster.binaries.kubectl", lambda **_: tmp_path / "kubectl")
    assert main(["up"]) == 1
    assert "/readyz" in capsys.readouterr().err
    assert not state.exists()


def read_all(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("context", ["kind-dev", "k3d-dev", "minikube"])
def test_images_are_loaded_by_the_tool_of_the_cluster(context: str) -> None:
    assert build_load_command(context, Path("/i.tar"))[0] == context.partition("-")[0]


def test_a_cluster_that_takes_no_images_says_what_to_do() -> None:
    with pytest.raises(ClusterError, match="push them to a registry"):
        build_load_command("production", Path("/i.tar"))


def test_the_folders_follow_the_variables() -> None:
    assert cache_folder({"AGENTIC_CACHE": "/c"}) == Path("/c")
    assert cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/agentic-operator")
    assert cluster_folder({"AGENTIC_CACHE": "/c"}) == Path("/c/cluster")
    assert cluster_folder({"AGENTIC_CLUSTER_DIR": "/d"}) == Path("/d")


def test_a_person_without_root_is_told_the_exact_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_program(tmp_path, "apt-get", 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    need = deps.Need("a thing", "thing-package", lambda: False)
    with pytest.raises(MissingTool, match=r"run `sudo apt-get update -q && sudo apt-get install .*thing-package`"):
        deps.ensure([need], lambda _: None)


def test_a_machine_without_apt_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="lacks a thing: install them by its package manager"):
        deps.ensure([deps.Need("a thing", "thing-package", lambda: False)], lambda _: None)


def test_root_on_debian_sees_the_commands_that_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "apt-get").write_text(f'#!/bin/sh\n[ "$1" = install ] && : > {tmp_path}/installed\n')
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    said: list[str] = []
    deps.ensure([deps.Need("a thing", "thing-package", (tmp_path / "installed").exists)], said.append)
    assert said[0] == "this machine lacks a thing"
    assert said[-1].endswith("install -y -q --no-install-recommends thing-package`")


def test_the_table_of_parts_says_what_stopped() -> None:
    parts = [PartStatus("etcd", 7, None, Path("/e.log")), PartStatus("kubelet", None, None, Path("/k.log"))]
    assert format_status(parts).splitlines()[1:] == [
        "etcd     7    running  /e.log",
        "kubelet  -    stopped  /k.log",
    ]


def test_without_a_cluster_the_error_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTIC_CLUSTER_DIR", str(tmp_path / "none"))
    monkeypatch.delenv("AGENTIC_KUBECONFIG", raising=False)
    assert main(["kubeconfig"]) == 1
    assert "start it with `make cluster-up`" in capsys.readouterr().err
