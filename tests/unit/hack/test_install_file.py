"""The one file of an installation: its order, its image, and what it refuses."""

from pathlib import Path

import pytest
import yaml

from hack.install_file import NotWritten, build_install, list_files, split_documents
from tests.support.documents import find_images
from tests.unit.test_layout import ROOT

IMAGE = "registry.example.com:5000/team/operator:1.2.3"


def test_namespaces_and_resource_kinds_come_first_and_all_images_are_the_given_one() -> None:
    documents = list(yaml.load_all(build_install(IMAGE), yaml.CSafeLoader))
    kinds = [each["kind"] for each in documents]
    assert kinds[:5] == ["Namespace"] * 2 + ["CustomResourceDefinition"] * 3
    assert not {"Namespace", "CustomResourceDefinition"} & set(kinds[5:])
    assert "Secret" not in kinds
    assert find_images(documents) == [IMAGE] * 2


def test_sessions_may_run_what_was_given() -> None:
    (deployment,) = (
        each
        for each in yaml.load_all(build_install(IMAGE, ["a.io/x", "b.io"]), yaml.CSafeLoader)
        if each["kind"] == "Deployment"
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {"name": "ALLOWED_IMAGES", "value": "a.io/x,b.io"} in container["env"]


@pytest.mark.parametrize("image", ["", "operator", "Team/operator:1", "operator:1 --privileged", "a@sha256:12"])
def test_what_is_no_image_with_a_tag_is_refused(image: str) -> None:
    with pytest.raises(NotWritten, match="is no image"):
        build_install(image)


def test_prefixes_cannot_end_the_text_they_stand_in() -> None:
    with pytest.raises(NotWritten, match="is no prefix"):
        build_install(IMAGE, ['a"\n- b'])


def test_comments_stay_with_their_documents() -> None:
    assert split_documents("# one\na: 1\n---\n# two\na: 2\n") == ["# one\na: 1\n", "# two\na: 2\n"]


def test_a_kustomization_that_changes_its_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: []\nimages: []\n")
    with pytest.raises(NotWritten, match="does more than list files: images"):
        list(list_files(["."], tmp_path))


def test_a_release_has_the_file_of_every_manifest() -> None:
    named = {path.relative_to(ROOT).as_posix() for path in list_files(("crds", "manifests/operator"))}
    assert {"manifests/operator/deployment.yaml", "manifests/migrate/job.yaml", "crds/agenticsessions.yaml"} <= named
