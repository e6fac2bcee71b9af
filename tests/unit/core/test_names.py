"""Derived names: within Kubernetes' limits, one-to-one, and never able to pose as another's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core import names
from agentic_core.threads import can_read, project_prefix, thread_id

PART = st.text(min_size=1, max_size=20)


def test_the_longest_session_name_leaves_room_for_a_billion_runs() -> None:
    longest = "s" * names.MAX_SESSION_NAME
    assert len(names.job_name(longest, 999_999_999)) == 63


@pytest.mark.parametrize("run", [0, -1])
def test_runs_count_from_one(run: int) -> None:
    with pytest.raises(ValueError, match="runs count from 1"):
        names.job_name("s", run)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("a", True),
        ("a-b", True),
        ("-a", False),
        ("a-", False),
        ("A", False),
        ("a.b", False),
        ("", False),
        ("a\n", False),
    ],
)
def test_dns_labels(name: str, good: bool) -> None:
    assert names.is_dns_label(name) is good


def test_an_inspection_job_fits_the_limit_for_any_definition_name() -> None:
    name = names.inspection_job_name(
        "d" * names.MAX_DEFINITION_NAME, "ClusterWorkflowDefinition", names.fingerprint("x")
    )
    assert names.is_dns_label(name)


def test_definitions_of_both_kinds_never_share_an_inspection_job() -> None:
    print_ = names.fingerprint("same")
    assert names.inspection_job_name("d", "WorkflowDefinition", print_) != names.inspection_job_name(
        "d", "ClusterWorkflowDefinition", print_
    )


@pytest.mark.parametrize(
    ("reader", "thread", "can"),
    [
        pytest.param(thread_id("p", "a"), thread_id("p", "b"), True, id="of the same project"),
        pytest.param(thread_id("p", "a", "ann"), thread_id("p", "b"), True, id="a private one reads a shared one"),
        pytest.param(thread_id("p", "a", "ann"), thread_id("p", "b", "ann"), True, id="private, of the same user"),
        pytest.param(thread_id("p", "a", "bob"), thread_id("p", "b", "ann"), False, id="private, of another user"),
        pytest.param(thread_id("p", "a"), thread_id("p", "b", "ann"), False, id="a shared one reads a private one"),
        pytest.param(thread_id("p", "a", "ann2"), thread_id("p", "b", "ann"), False, id="a user's name that begins so"),
        pytest.param(thread_id("q", "a"), thread_id("p", "b"), False, id="of another project"),
        pytest.param(thread_id("pq", "a"), thread_id("p", "b"), False, id="a project's name that begins so"),
        pytest.param(thread_id("p", "a"), "something-else", False, id="no thread of a session"),
        pytest.param(thread_id("p", "a"), "", False, id="nothing"),
    ],
)
def test_who_may_read_a_thread(reader: str, thread: str, can: bool) -> None:
    assert can_read(reader, thread) is can


@given(PART, PART, st.none() | PART, PART, st.none() | PART)
def test_nobody_reads_another_projects_thread(
    project: str, other: str, user: str | None, name: str, own: str | None
) -> None:
    if project != other:
        assert not can_read(thread_id(other, name, own), thread_id(project, name, user))


def test_the_form_of_a_thread_id() -> None:
    assert thread_id("p", "s") == "project-p:session-s"
    assert thread_id("p", "s", "ann@example.com") == "project-p:user-ann%40example.com:session-s"


@given(PART, PART, st.none() | PART, PART, PART, st.none() | PART)
def test_no_two_sessions_share_a_thread(
    ns_a: str, s_a: str, u_a: str | None, ns_b: str, s_b: str, u_b: str | None
) -> None:
    same = (ns_a, s_a, u_a) == (ns_b, s_b, u_b)
    assert (thread_id(ns_a, s_a, u_a) == thread_id(ns_b, s_b, u_b)) is same


@given(PART, PART, st.none() | PART)
def test_a_thread_starts_with_its_own_namespaces_prefix_and_holds_no_wildcard(ns: str, s: str, u: str | None) -> None:
    thread = thread_id(ns, s, u)
    assert thread.startswith(project_prefix(ns))
    assert set(thread.removeprefix(project_prefix(ns))).isdisjoint({"/", "*", "'", "\0"})


def test_a_user_cannot_pose_as_a_public_session_of_another_name() -> None:
    assert thread_id("p", "s", "x:session-y") == "project-p:user-x%3Asession-y:session-s"


@pytest.mark.parametrize(("namespace", "session"), [("", "s"), ("p", "")])
def test_an_empty_part_is_refused(namespace: str, session: str) -> None:
    with pytest.raises(ValueError, match="needs a namespace and a session name"):
        thread_id(namespace, session)


@pytest.mark.parametrize("writer", ["ann", "ann@example.com", "ü" * 200, "", "a\nb", "a/b"])
@pytest.mark.parametrize("id_", ["9f7b6d", "breakpoint-" + "1" * 36, "x" * 128, "ä", "a\tb"])
def test_every_answer_has_a_field_manager_that_names_its_writer(writer: str, id_: str) -> None:
    manager = names.answer_manager(writer, id_)
    assert manager.isprintable()
    assert len(manager.encode()) <= 128
    assert names.answer_manager(writer, id_ + "2") != manager
    start = "".join(each for each in writer if each.isprintable()).encode()[:8].decode(errors="ignore")
    assert not start or "\n" in writer or manager.startswith(start)
