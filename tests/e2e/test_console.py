"""The console on the real cluster: from a workflow to its result, by two people and without kubectl."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Page, expect

from hack.install import GATEWAY, NAMESPACE
from hack.kubectl import ROOT, Kubectl
from tests.e2e.conftest import Project
from tests.support.browser import Visitor, find_chromium, open_visitor, running_chromium
from tests.support.cluster import DEFINITION, SESSION
from tests.support.own_network import own_network

WORKFLOW = "approval-chain"
# Pods start and end in between.
POD_SECONDS = 120_000
Enter = Callable[[str, str], Page]


@pytest.fixture
def enter(kubectl: Kubectl, project: Project, tmp_path: Path) -> Iterator[Enter]:
    """Lets a new person in, who may view and edit in the test's namespace; no page may break its policy or throw."""
    service = kubectl.get("-n", NAMESPACE, "service", GATEWAY)
    assert service is not None
    address = f"https://{service['spec']['clusterIP']}"
    opened: list[Visitor] = []
    with own_network(find_chromium(), tmp_path) as program, running_chromium(str(program)) as chromium:

        def let_in(person: str, path: str) -> Page:
            project.run_kubectl("create", "serviceaccount", person)
            for role in ("agentic-view", "agentic-edit"):
                account = f"--serviceaccount={project.name}:{person}"
                project.run_kubectl("create", "rolebinding", f"{person}-{role}", f"--clusterrole={role}", account)
            # The certificate is of the demo's own authority, and for the Service's name.
            visitor = open_visitor(chromium, address, ignore_https_errors=True)
            opened.append(visitor)
            visitor.sign_in(project.run_kubectl("create", "token", person).strip(), path)
            return visitor.page

        yield let_in
        faults = [fault for visitor in opened for fault in visitor.faults]
    assert faults == []


def answer(page: Page, prompt: str) -> None:
    """Say yes to a question once it is there, and see that the answer was taken: a refusal leaves the buttons."""
    question = page.locator("[data-question]").filter(has_text=prompt)
    yes = question.get_by_role("button", name="yes")
    # The answer before may have started a run, which asks again what is left.
    expect(yes).to_be_enabled(timeout=POD_SECONDS)
    yes.click(timeout=POD_SECONDS)
    expect(yes).to_have_count(0, timeout=POD_SECONDS)


def test_two_people_take_a_workflow_from_its_form_to_its_result(project: Project, enter: Enter) -> None:
    definition = yaml.safe_load((ROOT / "examples" / WORKFLOW / "definition.yaml").read_text(encoding="utf-8"))
    definition["metadata"]["namespace"] = project.name
    project.cluster.apply(definition)
    project.wait_ready(WORKFLOW)
    assert definition["kind"] == DEFINITION.name

    ann = enter("ann", f"/workflows/{project.name}/{WORKFLOW}")
    expect(ann.locator("[data-node=ask_director]")).to_be_visible()
    ann.get_by_role("link", name="Start").click()
    ann.get_by_label("Item").fill("a ladder")
    ann.get_by_label("Amount").fill("250.5")
    ann.get_by_role("button", name="Start the session").click()
    expect(ann).to_have_url(re.compile(f"/sessions/{project.name}/"))
    name = ann.url.rsplit("/", 1)[1].partition("?")[0]
    expect(ann.get_by_text("Budget: is there money for a ladder for 250.50?").first).to_be_visible(timeout=POD_SECONDS)
    people = [f"system:serviceaccount:{project.name}:{person}" for person in ("ann", "ann", "bob")]
    for number, prompt in enumerate(("Budget:", "Security:"), start=1):
        answer(ann, prompt)
        answers = project.get(SESSION, name)["spec"]["responses"]
        assert [each["by"] for each in answers] == people[:number]

    # The last question is somebody else's, who finds it in the inbox.
    bob = enter("bob", "/inbox")
    expect(bob.get_by_text("Director: buy a ladder for 250.50?")).to_be_visible(timeout=POD_SECONDS)
    bob.keyboard.press("j")
    expect(bob).to_have_url(re.compile(r"[?&]question="))
    expect(bob.get_by_role("button", name="yes")).to_be_enabled()
    bob.keyboard.press("1")
    expect(bob.get_by_role("button", name="yes")).to_have_count(0)
    status = project.wait_phase("Completed", session=name)
    assert sorted(each["by"] for each in status["answers"]) == people
    expect(ann.get_by_text("Completed", exact=True).first).to_be_visible(timeout=POD_SECONDS)
    expect(ann.locator("[data-node=ask_director]")).to_have_attribute("data-look", "done", timeout=POD_SECONDS)
    ann.get_by_role("tab", name="Result").click()
    expect(ann.get_by_role("tabpanel")).to_contain_text("a ladder")
