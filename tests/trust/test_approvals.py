"""Who has to answer a question so that it counts: held by the API server alone, and counted by the operator."""

import time
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.builders import session_body
from tests.support.commands import clean_environment, run_agentic
from tests.support.kube import GROUP_PATH, Json, Space
from tests.support.waiting import wait_for
from tests.trust.roles import JSON_PATCH, Answer, Client, a_pod_of, a_user
from tests.trust.test_answers import ask, digest, question, write

ROLES = ("agentic-edit", "agentic-view")
FINANCE = ("finance",)
FOUR_EYES = {"notCreator": True, "groups": ["finance", "board"], "count": 2, "digest": "Required"}
YES, NO = {"ok": True}, {"ok": False}


def path(space: Space, part: str = "", name: str = "s") -> str:
    return f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions/{name}{part}"


def person(space: Space, name: str, *, groups: Sequence[str] = (), roles: Sequence[str] = ROLES) -> Client:
    return a_user(space.plane, space.name, *roles, name=name, groups=groups)


def run(space: Space, *, approval: Json | None = None, creator: str = "bob", **spec: Any) -> Client:
    """Start session ``s`` of a definition with this rule; return the code in its pod."""
    rules: Json = {"approval": approval} if approval else {}
    space.define(**rules)
    space.operator()
    begin(space, creator=creator, **spec)
    name = space.wait_pod("s-r1")
    space.wait_status("s", "Creating")
    pod = a_pod_of(space.plane, space.name, name)
    assert write(pod, space, phase="Running").is_done
    return pod


def begin(space: Space, *, creator: str, name: str = "s", **spec: Any) -> None:
    body = session_body(name, namespace=space.name, **({"createdBy": creator} if creator else {}), **spec)
    made = person(space, creator or "nobody").request("POST", path(space, name="").rstrip("/"), body)
    assert made.is_done, made


def wait_rule(space: Space, id_: str = "q") -> Json:
    """Return what the operator recorded of a question."""
    found = wait_for(
        lambda: [each for each in space.status("s").get("approvals", ()) if each["interruptId"] == id_],
        bool,
        what=f"the rule of {id_} recorded",
        every=0.05,
    )
    return dict(found[0])


def respond(client: Client, space: Space, value: Any, *, by: str | None = None, id_: str = "q", **more: Any) -> Answer:
    """Give an answer beside those that are there, as a person with a merge patch does."""
    by = client.name if by is None else by
    old = [
        each
        for each in space.session("s")["spec"].get("responses", ())
        if (each["interruptId"], each["by"]) != (id_, by)
    ]
    mine = {"interruptId": id_, "by": by, "value": value, **more}
    return client.request("PATCH", path(space), {"spec": {"responses": [*old, mine]}})


def assert_refused(answer: Answer, *words: str) -> None:
    assert answer.code == 403, answer
    for word in words:
        assert word in answer.message


def wait_condition(space: Space, reason: str, *words: str) -> Json:
    def find() -> Json:
        conditions: list[Json] = space.status("s").get("conditions", [])
        return next((each for each in conditions if each["type"] == "InputAccepted"), {})

    def is_so(found: Json) -> bool:
        return found.get("reason") == reason and all(word in found["message"] for word in words)

    return wait_for(find, is_so, what=f"InputAccepted {reason} with {words}", every=0.05)


def wait_answers(space: Space, id_: str = "q") -> list[Json]:
    def find() -> list[Json]:
        return [each for each in space.status("s").get("answers", ()) if each["interruptId"] == id_]

    found: list[Json] = wait_for(find, bool, what="the answer accepted", every=0.05)
    return found


SHOWN = {"digest": digest(question())}


def test_the_same_answer_of_two_persons_of_the_group_is_needed_and_of_nobody_else(space: Space) -> None:
    pod = run(space, approval=FOUR_EYES)
    ask(pod, space, question())
    record = wait_rule(space)
    rule = {
        "identity": "Required",
        "notCreator": True,
        "groups": [["finance", "board"]],
        "count": 2,
        "digest": "Required",
    }
    assert (record["rule"], record["digest"]) == (rule, digest(question()))
    wait_condition(space, "ApprovalsMissing", "question 'q': 0 of 2", "finance, board, not bob (who started it)")
    bob, ann = person(space, "bob", groups=FINANCE), person(space, "ann", groups=FINANCE)
    eve, cas = person(space, "eve"), person(space, "cas", groups=("board",))
    assert_refused(respond(bob, space, YES, **SHOWN), "somebody else than whoever started the session, 'bob'")
    assert_refused(respond(eve, space, YES, **SHOWN), "question 'q' is answered by members of other groups")
    assert_refused(respond(ann, space, YES, by="", **SHOWN), "state your name in `by`, 'ann'")
    assert_refused(respond(ann, space, YES, by="cas", **SHOWN), "by 'cas' is theirs alone")
    assert_refused(respond(ann, space, YES), "names the digest")
    assert_refused(respond(ann, space, YES, digest="0" * 64), "names the digest")
    assert respond(ann, space, YES, **SHOWN).is_done
    wait_condition(space, "ApprovalsMissing", "1 of 2: ann; 1 more person of one of the groups finance, board, not bob")
    assert space.status("s")["question"].startswith("[1/2] pay 10?")
    # Of the same person twice counts the last; the first one is replaced.
    assert respond(ann, space, NO, **SHOWN).is_done
    assert respond(ann, space, YES, **SHOWN).is_done
    # A differing answer is shown, and counts for nothing.
    assert respond(cas, space, NO, **SHOWN).is_done
    wait_condition(space, "ApprovalsMissing", "1 of 2: ann", "another answer by cas")
    assert not space.status("s").get("answers")
    assert [each["by"] for each in wait_rule(space)["given"]] == ["ann", "cas"]
    assert respond(cas, space, YES, **SHOWN).is_done
    recorded = wait_answers(space)
    assert [(each["by"], each["value"], each["digest"]) for each in recorded] == [
        ("ann", YES, digest(question())),
        ("cas", YES, digest(question())),
    ]
    (asked,) = space.status("s")["interrupts"]
    assert (asked["answer"], asked["answeredBy"]) == (YES, "ann, cas")


def test_a_pod_writes_no_rule_and_changes_none(space: Space) -> None:
    pod = run(space, approval={"groups": ["finance"], "count": 2})
    ask(pod, space, question())
    record = wait_rule(space)
    given = [{"by": "cfo", "at": record["at"], "valueDigest": "0" * 64}]
    forged = {
        "none": [],
        "a weaker one": [{**record, "rule": {**record["rule"], "count": 1}}],
        "another group": [{**record, "rule": {**record["rule"], "groups": [["system:authenticated"]]}}],
        "another question's digest": [{**record, "digest": "0" * 64}],
        "an answer that was given": [{**record, "given": given}],
        "one for a question to come": [record, {"interruptId": "r", "rule": {}, "digest": ""}],
    }
    for what, approvals in forged.items():
        refused = write(pod, space, approvals=approvals)
        assert (refused.code, "status.approvals is the operator's to write" in refused.message) == (403, True), what
    removed = [{"op": "remove", "path": "/status/approvals"}]
    assert pod.request("PATCH", path(space, "/status"), removed, kind=JSON_PATCH).code == 403
    weaker = write(pod, space, interrupts=[{**question(), "approval": {"count": 1}}])
    assert_refused(weaker, "what was asked stays as it was asked")
    assert wait_rule(space) == record


def test_a_question_adds_to_its_definitions_rule_and_takes_nothing_from_it(space: Space) -> None:
    pod = run(space, approval={"groups": ["finance"], "count": 2})
    own = {"groups": ["board"], "count": 1, "identity": "Optional"}
    ask(pod, space, question(value={"amount": 1, "approval": own}))
    rule = wait_rule(space)["rule"]
    assert (rule["groups"], rule["count"], rule["identity"]) == ([["finance"], ["board"]], 2, "Required")
    assert_refused(respond(person(space, "ann", groups=FINANCE), space, YES), "members of other groups")
    assert_refused(respond(person(space, "cas", groups=("board",)), space, YES), "members of other groups")
    for name in ("dan", "eve"):
        assert respond(person(space, name, groups=("board", "finance")), space, YES).is_done
    assert {each["by"] for each in wait_answers(space)} == {"dan", "eve"}


def test_a_rule_that_stands_beside_a_value_too_large_for_the_status_counts(space: Space) -> None:
    pod = run(space)
    ask(pod, space, question(value={"truncated": True}, approval={"groups": ["finance"]}))
    wait_rule(space)
    assert_refused(respond(person(space, "eve"), space, YES), "members of other groups")
    assert respond(person(space, "ann", groups=FINANCE), space, YES).is_done
    assert [each["by"] for each in wait_answers(space)] == ["ann"]


@pytest.mark.parametrize(
    "own",
    [True, "finance", [], {"group": ["finance"]}, {"groups": []}, {"count": "2"}, {"count": 9}, {"notCreator": "yes"}],
    ids=str,
)
def test_a_rule_that_cannot_be_read_is_met_by_nobody(space: Space, own: Any) -> None:
    pod = run(space)
    ask(pod, space, question(value={"amount": 1, "approval": own}))
    wait_condition(space, "ApprovalsMissing", "question 'q': nobody can answer: the question's rule cannot be read")
    assert_refused(respond(person(space, "ann"), space, YES), "nobody can answer question 'q'", "/approval")


@pytest.mark.parametrize("is_at_creation", [True, False], ids=["at creation", "before the workflow is pinned"])
def test_what_was_answered_before_the_rule_stood_never_counts(space: Space, is_at_creation: bool) -> None:
    eve = person(space, "eve")
    guess = {"interruptId": "q", "by": "eve", "value": YES, **SHOWN}
    space.define(approval={"groups": ["finance"]})
    body = session_body("s", namespace=space.name, responses=[guess] if is_at_creation else [])
    assert eve.request("POST", path(space, name="").rstrip("/"), body).is_done
    if not is_at_creation:
        # Nobody knows of a rule yet.
        assert respond(eve, space, YES, **SHOWN).is_done
    space.operator()
    name = space.wait_pod("s-r1")
    space.wait_status("s", "Creating")
    pod = a_pod_of(space.plane, space.name, name)
    assert write(pod, space, phase="Running").is_done
    ask(pod, space, question())
    wait_rule(space)
    wait_condition(space, "GivenTooEarly", "was given before the rule of the question 'q' was recorded")
    # To write it anew takes the group.
    assert_refused(respond(eve, space, NO, **SHOWN), "members of other groups")
    ann = person(space, "ann", groups=FINANCE)
    assert respond(ann, space, NO, **SHOWN).is_done
    assert [(each["by"], each["value"]) for each in wait_answers(space)] == [("ann", NO)]


def test_an_early_answer_counts_once_it_is_given_anew(space: Space) -> None:
    early = {"interruptId": "q", "by": "ann", "value": YES}
    pod = run(space, approval={"groups": ["finance"]}, creator="ann", responses=[early])
    ann = person(space, "ann", groups=FINANCE)
    ask(pod, space, question())
    wait_condition(space, "GivenTooEarly")
    assert ann.request("PATCH", path(space), {"spec": {"displayName": "seen"}}).is_done
    assert ann.request("PATCH", path(space), {"spec": {"responses": []}}).is_done
    wait_for(lambda: wait_rule(space), lambda record: not record["early"], what="the early one gone", every=0.05)
    assert respond(ann, space, YES).is_done
    assert [each["by"] for each in wait_answers(space)] == ["ann"]


def test_nobody_answers_a_question_whose_rule_is_not_recorded_yet(space: Space) -> None:
    pod = run(space, approval={"groups": ["finance"]})
    ann = person(space, "ann", groups=FINANCE)
    for id_ in ("q", "guessed"):
        assert_refused(respond(ann, space, YES, id_=id_), f"the rule of question '{id_}' is not recorded yet")
    ask(pod, space, question())
    wait_rule(space)
    assert respond(ann, space, YES).is_done


def test_a_question_with_a_rule_of_its_own_waits_for_its_record(space: Space) -> None:
    pod = run(space)
    space.operators[0].kill()
    ask(pod, space, question(value={"approval": {"groups": ["finance"]}}), question("r"))
    ann = person(space, "ann", groups=FINANCE)
    assert_refused(respond(ann, space, YES), "is not recorded yet")
    # One without a rule is answered as ever.
    assert respond(ann, space, YES, id_="r").is_done
    space.operators[0].start()
    wait_rule(space)
    assert respond(ann, space, YES).is_done
    assert [each["by"] for each in wait_answers(space)] == ["ann"]


def test_another_question_under_the_id_takes_no_answer(space: Space) -> None:
    pod = run(space, approval={"count": 2})
    ask(pod, space, question(), question("r"))
    wait_rule(space)
    ann, cas = person(space, "ann"), person(space, "cas")
    assert respond(ann, space, YES).is_done
    wait_condition(space, "ApprovalsMissing", "1 of 2: ann")
    # Asked again for a hundred times as much, under the id that has an approval already.
    assert write(pod, space, interrupts=[question("r")]).is_done
    assert write(pod, space, interrupts=[question(prompt="pay 1000?"), question("r")]).is_done
    assert respond(cas, space, YES).is_done
    wait_condition(space, "QuestionChanged", "the question 'q' is another one than was asked under this id before")
    assert not space.status("s").get("answers")
    # The one that was asked before still takes them.
    assert write(pod, space, interrupts=[question("r")]).is_done
    assert write(pod, space, interrupts=[question(), question("r")]).is_done
    # What a pod writes beside its phase makes no pass of its own.
    assert ann.request("PATCH", path(space), {"spec": {"displayName": "again"}}).is_done
    assert {each["by"] for each in wait_answers(space)} == {"ann", "cas"}


def test_only_who_may_respond_answers(space: Space) -> None:
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}"
    rules = [
        {"apiGroups": ["agentic-operator.dev"], "resources": ["agenticsessions"], "verbs": ["create", "patch", "get"]}
    ]
    space.plane.request("POST", f"{rbac}/roles", {"metadata": {"name": "custom"}, "rules": rules})
    binding = {
        "metadata": {"name": "custom"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "custom"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"}],
    }
    space.plane.request("POST", f"{rbac}/rolebindings", binding)
    space.start("s")
    eve, starter, ann = (
        person(space, "eve", roles=()),
        person(space, "sam", roles=("agentic-start",)),
        person(space, "ann"),
    )
    given = {"interruptId": "q", "value": YES}
    body = session_body("t", namespace=space.name, responses=[given])
    for somebody in (eve, starter):
        assert_refused(
            somebody.request("POST", path(space, name="").rstrip("/"), body), f"'{somebody.name}' may not answer"
        )
    assert_refused(respond(eve, space, YES), "takes the verb respond on agenticsessions")
    assert eve.request("PATCH", path(space), {"spec": {"displayName": "x"}}).is_done
    assert respond(ann, space, YES).is_done
    assert_refused(respond(eve, space, NO, by=""), "respond")


def test_who_acts_on_behalf_of_others_answers_with_their_own_groups(space: Space) -> None:
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}"
    rules = [{"apiGroups": ["agentic-operator.dev"], "resources": ["agenticsessions"], "verbs": ["on-behalf"]}]
    space.plane.request("POST", f"{rbac}/roles", {"metadata": {"name": "delegate"}, "rules": rules})
    for name in ("portal", "kiosk"):
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "delegate"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
        }
        space.plane.request("POST", f"{rbac}/rolebindings", binding)
    pod = run(space, approval={"groups": ["finance"], "notCreator": True})
    ask(pod, space, question())
    wait_rule(space)
    portal, kiosk = person(space, "portal", groups=FINANCE), person(space, "kiosk")
    assert_refused(respond(kiosk, space, YES, by="ann"), "members of other groups")
    assert_refused(respond(portal, space, YES, by="bob"), "somebody else than whoever started the session")
    assert respond(portal, space, YES, by="ann").is_done
    assert [each["by"] for each in wait_answers(space)] == ["ann"]


def test_a_session_that_does_not_say_who_started_it_is_refused_where_that_matters(space: Space) -> None:
    space.define(approval={"notCreator": True})
    space.operator()
    begin(space, creator="")
    status = space.wait_status("s", "Failed", "CreatorNotStated")
    assert "/spec/createdBy" in status["message"]
    assert ("Accepted", "False") in {(each["type"], each["status"]) for each in status["conditions"]}


def test_where_a_question_says_so_later_nobody_answers(space: Space) -> None:
    pod = run(space, creator="")
    ask(pod, space, question(value={"approval": {"notCreator": True}}))
    wait_condition(space, "ApprovalsMissing", "spec.createdBy does not say who that is")
    assert_refused(respond(person(space, "ann"), space, YES), "nobody can answer question 'q'")


def test_a_fork_does_not_go_round_an_approval(space: Space) -> None:
    space.define(approval={"groups": ["finance"]})
    space.operator()
    begin(space, creator="bob", forkFrom={"session": "other", "values": {"approved": True}, "asNode": "ask"})
    status = space.wait_status("s", "Failed", "InvalidSpec")
    assert "/spec/forkFrom: sessions of WorkflowDefinition 'report' start from their inputs" in status["message"]


@pytest.mark.parametrize("allowed", [{"any": True}, {"values": [NO]}], ids=["any", "only a no"])
def test_who_starts_a_session_lets_no_deadline_approve(space: Space, allowed: Json) -> None:
    space.define(approval={"count": 2}, deadlineAnswers=allowed)
    space.operator()
    begin(space, creator="bob", inputDeadline={"seconds": 1, "onExpiry": "Resume", "value": YES})
    assert "/spec/inputDeadline/value" in space.wait_status("s", "Failed", "InvalidSpec")["message"]


def test_a_deadline_gives_a_question_with_a_rule_what_the_author_lists_alone(space: Space) -> None:
    space.define(deadlineAnswers={"any": True})
    space.operator()
    begin(space, creator="bob", inputDeadline={"seconds": 1, "onExpiry": "Resume", "value": YES})
    space.wait_pod("s-r1")
    space.wait_status("s", "Creating")
    space.report("s", phase="Running")
    asked = {"id": "q", "value": {"approval": {"count": 2}}, "askedAt": "2026-01-01T00:00:00Z"}
    space.report("s", phase="WaitingForInput", interrupts=[asked])
    space.end_pod(space.wait_pod("s-r1"), 0)
    status = space.wait_status("s", "Failed", "InputDeadlineExceeded")
    assert "has an approval rule" in status["message"]


@pytest.mark.parametrize(
    ("approval", "words"),
    [
        ({}, "approval demands nothing"),
        ({"groups": []}, "groups"),
        ({"count": 0}, "count"),
        ({"count": 6}, "count"),
        ({"count": "2"}, "count"),
        ({"identity": "Yes"}, "identity"),
        ({"notCreator": "true"}, "notCreator"),
        ({"groups": [""]}, "groups"),
    ],
    ids=str,
)
def test_a_definitions_rule_that_is_none_is_refused(space: Space, approval: Json, words: str) -> None:
    author = person(space, "author")
    body = {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "WorkflowDefinition",
        "metadata": {"name": "d"},
        "spec": {"image": "registry.example.com/team/workflow:1", "approval": approval},
    }
    made = author.request("POST", f"{GROUP_PATH}/namespaces/{space.name}/workflowdefinitions", body)
    assert made.code == 422, made
    assert words in made.message


@pytest.mark.parametrize("groups", [("finance",), tuple(f"group-{n:03}" for n in range(150)) + FINANCE], ids=len)
def test_full_lists_fit_into_the_budget_of_the_policy(space: Space, groups: Sequence[str]) -> None:
    """256 questions with ids of 128 characters and rules, answered at once, one by one, by few and many groups."""
    ids = [f"{n:03}{'i' * 125}" for n in range(256)]
    rule = {
        "identity": "Required",
        "notCreator": True,
        "groups": [["board", "finance"]],
        "count": 2,
        "digest": "Required",
    }
    recorded = [{"interruptId": id_, "rule": rule, "digest": "a" * 64} for id_ in ids]
    asked = [{"id": id_, "value": {"approval": {"count": 2}}} for id_ in ids]
    begin(space, creator="bob")
    space.report("s", phase="WaitingForInput", run=1, approvals=recorded, interrupts=asked)
    ann, cas = person(space, "ann", groups=groups), person(space, "cas", groups=("other", *groups[:-1]))
    full = [{"interruptId": id_, "by": "ann", "value": {"n": n}, "digest": "a" * 64} for n, id_ in enumerate(ids)]

    def put(client: Client, responses: list[Json]) -> Answer:
        return client.request("PATCH", path(space), {"spec": {"responses": responses}})

    started = time.perf_counter()
    done = put(ann, full)
    print(f"256 answers at once, {len(groups)} groups: {time.perf_counter() - started:.3f} s")
    assert done.is_done, done
    other = [{**each, "value": {"n": -1}} for each in full]
    assert put(ann, [*full[:-1], other[-1]]).is_done
    assert put(ann, other).is_done
    refused = put(cas, [*other[:-1], {**other[-1], "by": "cas"}])
    assert refused.code == 403, refused
    assert put(ann, []).is_done


def agentic(space: Space, name: str, groups: Sequence[str], *arguments: str) -> tuple[int, str]:
    """Run the command line as a person; return its exit status and all that it said."""
    person(space, name, groups=groups)
    kubeconfig = space.plane.kubeconfig_for_user(name, groups, namespace=space.name)
    done = run_agentic(*arguments, env=clean_environment(KUBECONFIG=str(kubeconfig)))
    return done.returncode, done.stdout + done.stderr


def test_the_command_line_says_who_has_answered_and_who_is_missing(space: Space) -> None:
    pod = run(space, approval=FOUR_EYES)
    ask(pod, space, question())
    answer = ("respond", "s", '{"ok": true}')
    status, said = agentic(space, "ann", FINANCE, *answer)
    assert status == 4
    assert "your answer to q is recorded; 1 more person has to give the same one (of one of the groups" in said
    wait_condition(space, "ApprovalsMissing", "1 of 2: ann")
    status, said = agentic(space, "bob", FINANCE, *answer)
    assert (status, "somebody else than whoever started the session" in said) == (1, True), said
    assert agentic(space, "cas", FINANCE, "respond", "s", '{"ok": false}')[0] == 4
    wait_condition(space, "ApprovalsMissing", "another answer by cas")
    status, said = agentic(space, "ann", FINANCE, "get", "s")
    assert "needs:   1 of 2: ann; 1 more person of one of the groups finance, board, not bob" in said
    assert "another answer by cas" in said
    # A person's mind may change until it is accepted.
    status, said = agentic(space, "cas", FINANCE, *answer)
    assert (status, "answered q" in said) == (0, True), said
    assert {each["by"] for each in wait_answers(space)} == {"ann", "cas"}
    assert "Answered by ann, cas" in agentic(space, "eve", (), "get", "s")[1]


def test_a_question_from_before_the_upgrade_gets_its_rule_when_the_operator_first_sees_it(space: Space) -> None:
    """Asked by a runner of the version before: the rule is in the value alone."""
    space.define()
    begin(space, creator="bob", responses=[{"interruptId": "q", "by": "bob", "value": YES}])
    asked = {"id": "q", "value": {"approval": {"notCreator": True}}, "askedAt": "2026-01-01T00:00:00Z"}
    workflow = {"image": "registry.example.com/team/workflow:1", "generation": 1}
    space.report("s", phase="WaitingForInput", run=1, jobName="s-r1", workflow=workflow, interrupts=[asked])
    space.operator()
    wait_condition(space, "GivenTooEarly")
    assert respond(person(space, "ann"), space, YES).is_done
    assert [each["by"] for each in wait_answers(space)] == ["ann"]
    space.wait_run("s", 2)
