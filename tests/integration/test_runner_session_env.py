"""What the runner as a process makes of variables: those of its pod change nothing of it, a session's come late."""

from pathlib import Path
from typing import Any

from agentic_core.contract import INTERPRETER_ENV, ExitCode
from tests.support.runner import RunnerBench

TELLS = """
    class State(TypedDict):
        seen: dict

    def tell(state):
        import subprocess, sys
        show = "import os; print(os.environ.get('STYLE', ''))"
        child = subprocess.run([sys.executable, "-I", "-c", show], capture_output=True, text=True)
        return {"seen": {"node": os.environ.get("STYLE"), "import": AT_IMPORT, "child": child.stdout.strip()}}

    AT_IMPORT = os.environ.get("STYLE")
    graph = StateGraph(State).add_node("tell", tell).add_edge(START, "tell").compile()
"""


def hostile_variables(folder: Path) -> dict[str, str]:
    """Return what programs read while they start or connect; each would break the runner, or leave ``folder/taken``."""
    taken = f"{folder}/taken"
    code = f"open({taken!r}, 'w').close()\n"
    modules = folder / "modules"
    modules.mkdir()
    for name in ("sitecustomize", "usercustomize", "httpx", "psycopg", "agentic_runner", "hook"):
        (modules / f"{name}.py").write_text(code)
    (folder / "startup.py").write_text(code)
    (folder / "service").write_text("[evil]\nhost=127.0.0.1\nport=1\n")
    return {
        "PYTHONWARNINGS": "all:0:antigravity.x:0:0",
        "BROWSER": f"sh -c 'touch {taken}'",
        "PYTHONPATH": str(modules),
        "PYTHONHOME": "/nowhere",
        "PYTHONPLATLIBDIR": "nowhere",
        "PYTHONSTARTUP": str(folder / "startup.py"),
        "PYTHONINSPECT": "1",
        "PYTHONUSERBASE": str(modules),
        "PYTHONBREAKPOINT": "hook.x",
        "PYTHONPYCACHEPREFIX": str(modules),
        "PYTHONOPTIMIZE": "2",
        "PYTHONIOENCODING": "utf-16",
        "PYTHONMALLOC": "nothing",
        "PYTHONEXECUTABLE": "/nowhere",
        "__PYVENV_LAUNCHER__": "/nowhere",
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONPROFILEIMPORTTIME": "1",
        "SSL_CERT_FILE": "/nowhere/ca.pem",
        "SSL_CERT_DIR": "/nowhere",
        "SSLKEYLOGFILE": f"{folder}/keys",
        "REQUESTS_CA_BUNDLE": "/nowhere/ca.pem",
        "OPENSSL_CONF": "/nowhere/openssl.cnf",
        "OPENSSL_MODULES": "/nowhere",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "ALL_PROXY": "socks5://127.0.0.1:1",
        "https_proxy": "http://127.0.0.1:1",
        "NETRC": "/nowhere/netrc",
        "PGHOST": "127.0.0.2",
        "PGHOSTADDR": "127.0.0.2",
        "PGPORT": "1",
        "PGUSER": "nobody",
        "PGPASSWORD": "wrong-password",
        "PGDATABASE": "nowhere",
        "PGSERVICE": "evil",
        "PGSERVICEFILE": str(folder / "service"),
        "PGOPTIONS": "-c default_transaction_read_only=on",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/nowhere/root.pem",
        "PGAPPNAME": "mine",
        "PGTARGETSESSIONATTRS": "standby",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "nobody",
        "HOME": "/nowhere",
        "PATH": "/nowhere",
        "TMPDIR": "/nowhere",
        "LOCPATH": "/nowhere",
        "NLSPATH": "/nowhere/%N",
        "LANG": "xx_XX.UTF-8",
        "LC_ALL": "C",
        "TZ": "/nowhere",
        "MALLOC_ARENA_MAX": "1",
        "RES_OPTIONS": "ndots:15",
        "LANGCHAIN_TRACING_V2": "false",
        "LANGGRAPH_STRICT_MSGPACK": "false",
    }


def test_a_run_is_what_it_is_whatever_its_pods_variables_are(runners: RunnerBench, tmp_path: Path) -> None:
    session = runners.session(TELLS)
    folder = tmp_path / "hostile"
    folder.mkdir()
    session.is_isolated = True
    session.environment.update(hostile_variables(folder))
    runner = session.start()
    assert runner.wait() == ExitCode.DONE, runner.output
    assert session.status["phase"] == "Completed"
    assert not (folder / "taken").exists()
    assert not (folder / "keys").exists()


def test_a_sessions_variables_reach_its_graph_and_what_the_graph_starts(runners: RunnerBench) -> None:
    env = [{"name": "STYLE", "value": "$(HOME) and long"}, {"name": "UNLISTED", "value": "x"}]
    session = runners.session(TELLS, spec={"env": env})
    assert session.run(SESSION_ENV="STYLE") == ExitCode.DONE
    seen = session.status["result"]["seen"]
    assert seen == dict.fromkeys(("node", "import", "child"), "$(HOME) and long")


def test_a_sessions_variables_change_nothing_of_the_runner(runners: RunnerBench, tmp_path: Path) -> None:
    """Even where an author lists all of them."""
    hostile = hostile_variables(tmp_path)
    # In a pod those are there, and stand; the API server refuses those by which an interpreter finds itself.
    for name in ("HOME", "PATH", "LANGGRAPH_STRICT_MSGPACK", *INTERPRETER_ENV):
        del hostile[name]
    # What a library obeys while it is imported: a definition can break its own runs with it, a session nothing.
    hostile |= {"PSYCOPG_IMPL": "nothing", "LANGGRAPH_DEFAULT_RECURSION_LIMIT": "1"}
    env = [{"name": name, "value": value} for name, value in hostile.items()]
    session = runners.session(TELLS, spec={"env": env})
    session.is_isolated = True
    runner = session.start(SESSION_ENV=",".join(hostile))
    assert runner.wait() == ExitCode.DONE, runner.output
    assert session.status["phase"] == "Completed"
    assert not (tmp_path / "taken").exists()


def test_what_the_image_or_its_definition_sets_stands(runners: RunnerBench) -> None:
    session = runners.session(TELLS, spec={"env": [{"name": "STYLE", "value": "mine"}]})
    assert session.run(SESSION_ENV="STYLE", STYLE="of the image") == ExitCode.INPUT_REFUSED
    status: dict[str, Any] = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "EnvNotAllowed")
    assert "'STYLE' is set by the image" in status["message"]
