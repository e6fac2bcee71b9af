"""What the runner reads from its environment, and what it says where something is missing."""

from pathlib import Path

import pytest

from agentic_runner.config import ConfigurationError, RunConfig, TokenSource, read_config


def _environment(tmp_path: Path, **changes: str | None) -> dict[str, str]:
    for name in ("token", "dsn", "ca"):
        (tmp_path / name).write_text(f"the {name}\n")
    values: dict[str, str | None] = {
        "SESSION_NAME": "report",
        "SESSION_UID": "u-1",
        "NAMESPACE": "team",
        "RUN": "2",
        "THREAD_ID": "project-team:session-report",
        "BACKEND_URL": "https://api.example.com/",
        "TOKEN_FILE": str(tmp_path / "token"),
        "API_CA_FILE": str(tmp_path / "ca"),
        "POSTGRES_CONNECTION_STRING_FILE": str(tmp_path / "dsn"),
        **changes,
    }
    return {name: value for name, value in values.items() if value is not None}


def test_a_whole_environment_gives_a_configuration_with_defaults(tmp_path: Path) -> None:
    config = read_config(_environment(tmp_path))
    assert (config.session_name, config.run, config.job_name) == ("report", 2, "report-r2")
    assert config.backend_url == "https://api.example.com"
    assert (config.graph, config.retries, config.durability) == (None, 0, "sync")
    assert config.token.read() == "the token"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"SESSION_NAME": None}, "variable SESSION_NAME is not set", id="no session"),
        pytest.param({"SESSION_NAME": "  "}, "variable SESSION_NAME is not set", id="a blank session"),
        pytest.param({"RUN": "first"}, "variable RUN is 'first': set it to a whole number", id="a run in words"),
        pytest.param({"RUN": "0"}, "at least 1", id="a run before the first"),
        pytest.param({"RETRIES": "-1"}, "variable RETRIES is '-1'", id="negative retries"),
        pytest.param({"DURABILITY": "exit"}, "a crash could not continue", id="durability exit"),
        pytest.param({"DURABILITY": "none"}, "set it to 'sync' or 'async'", id="an unknown durability"),
        pytest.param({"TOKEN_FILE": None}, "variable TOKEN_FILE is not set (nor TOKEN)", id="no token"),
        pytest.param({"TOKEN_FILE": "/nowhere/token"}, "'/nowhere/token' (from TOKEN_FILE) cannot", id="a lost token"),
        pytest.param({"API_CA_FILE": "/nowhere/ca"}, "(from API_CA_FILE) does not exist", id="a lost CA"),
        pytest.param({"BACKEND_URL": None}, "variable BACKEND_URL is not set", id="no API server"),
        pytest.param({"BACKEND_URL": "ftp://x"}, "http:// or https://", id="a strange API server"),
        pytest.param({"API_PATIENCE_SECONDS": "nan"}, "a number of seconds", id="a patience that is no number"),
    ],
)
def test_each_problem_is_named_with_its_remedy(tmp_path: Path, changes: dict[str, str | None], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_config(_environment(tmp_path, **changes))
    (problem,) = caught.value.problems
    assert words in problem


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_config({})
    names = " ".join(caught.value.problems)
    for name in ("SESSION_NAME", "SESSION_UID", "NAMESPACE", "RUN", "THREAD_ID", "BACKEND_URL", "TOKEN_FILE"):
        assert name in names


@pytest.mark.parametrize(
    ("host", "url"), [("10.0.0.1", "https://10.0.0.1:6443"), ("fd00::1", "https://[fd00::1]:6443")]
)
def test_without_a_backend_url_the_cluster_s_own_variables_are_used(tmp_path: Path, host: str, url: str) -> None:
    found = read_config(
        _environment(tmp_path, BACKEND_URL="", KUBERNETES_SERVICE_HOST=host, KUBERNETES_SERVICE_PORT="6443")
    )
    assert found.backend_url == url


def test_plain_variables_stand_in_for_files(tmp_path: Path) -> None:
    config = read_config(
        _environment(
            tmp_path,
            TOKEN_FILE=None,
            TOKEN="abc",
            POSTGRES_CONNECTION_STRING_FILE=None,
            POSTGRES_CONNECTION_STRING="host=db",
        )
    )
    assert config.token.read() == "abc"


def test_a_rotated_token_is_read_anew_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    source = TokenSource(file=file)
    assert source.read() == "first"
    file.write_text("second\n")
    assert source.read() == "second"
    assert "hidden" not in repr(TokenSource(value="hidden"))


def test_the_configuration_s_repr_has_no_secret(tmp_path: Path) -> None:
    config: RunConfig = read_config(_environment(tmp_path, TOKEN_FILE=None, TOKEN="canary-token"))
    assert "canary-token" not in repr(config)
