"""The list of images to copy to a mirror: it has every image of the manifests, and the page shows it."""

import re

from hack.image_list import ROOT, format_images, list_images, read_images

REGISTRY = "registry.example.com/agentic-operator"


def test_the_list_has_each_image_once_under_its_full_name() -> None:
    images = list_images(REGISTRY, "1.2.3")
    assert images == sorted(set(images))
    assert {f"{REGISTRY}/{name}:1.2.3" for name in ("operator", "gateway", "runner")} < set(images)
    assert all(re.fullmatch(r"[a-z.]+\.[a-z]+/[a-z/-]+:[\w.]+", image) for image in images)


def test_no_image_of_the_manifests_is_overlooked() -> None:
    """However it is written: also by kustomize, with quotes, or in a list."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "manifests").rglob("*.y*ml")]
    named = sum(len(re.findall(r"\bimage['\"]?:(?! *\{)", re.sub(r"#.*", "", text))) for text in texts)
    assert named == len(list(read_images(ROOT / "manifests"))) > 0


def test_the_page_shows_the_list() -> None:
    page = (ROOT / "docs" / "installing.md").read_text(encoding="utf-8")
    assert format_images(REGISTRY, "0.1.0") in page
