"""Image references, and the list of images that are allowed.

A reference is parsed as container runtimes parse it before anything is compared, so that a host that only looks
like an allowed one (``registry.example.com.evil.io``, ``registry.example.com:443@evil``) never passes.
"""

import re
from dataclasses import dataclass
from typing import Final

DEFAULT_REGISTRY: Final = "docker.io"

_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_HOST: Final = re.compile(rf"(?=[^:]{{1,253}}(?::|$)){_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?")
_COMPONENT: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class InvalidImage(ValueError):
    """Text that no container runtime would take as an image."""


@dataclass(frozen=True)
class ImageReference:
    """An image, with nothing left implied but the tag."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"


def parse_image(text: str) -> ImageReference:
    """Return the parts of an image reference; raise :class:`InvalidImage` if it is none.

    As Docker does: the first component is a registry if it holds a dot or a colon or is ``localhost``, else the
    registry is ``docker.io``, where single names live in ``library/``.
    """
    name, _, digest = text.partition("@")
    if "@" in text and not _DIGEST.fullmatch(digest):
        raise InvalidImage(f"{digest!r} in image {text!r} is not a digest: write sha256: and 64 hexadecimal digits")
    name, tag = _split_tag(name)
    if tag is not None and not _TAG.fullmatch(tag):
        raise InvalidImage(f"{tag!r} in image {text!r} is not a tag: letters, digits, '_', '.' and '-', at most 128")
    registry, repository = _split_registry(name)
    if not _HOST.fullmatch(registry):
        raise InvalidImage(f"{registry!r} in image {text!r} is not a registry: write a host name, or host:port")
    if len(repository) > 255 or not all(_COMPONENT.fullmatch(part) for part in repository.split("/")):
        raise InvalidImage(f"{repository!r} in image {text!r} is not a repository: lower-case names separated by '/'")
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    return ImageReference(registry, repository, tag, digest or None)


def _split_tag(name: str) -> tuple[str, str | None]:
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    # Without a slash a colon can only begin a tag: `host:5000` alone names no repository.
    return f"{head}{slash}{last}", tag if colon else None


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry = first.lower()
        return DEFAULT_REGISTRY if registry in ("index.docker.io", "registry-1.docker.io") else registry, rest
    return DEFAULT_REGISTRY, name


@dataclass(frozen=True)
class AllowedImages:
    """Which images may be run: prefixes of whole path components, or all."""

    prefixes: tuple[tuple[str, str], ...] = ()
    everything: bool = False

    @classmethod
    def parse(cls, text: str) -> "AllowedImages":
        """Read a comma-separated list of ``registry[/path]``, or ``*`` for all; raise :class:`InvalidImage`."""
        entries = [entry.strip() for entry in text.split(",") if entry.strip()]
        if entries == ["*"]:
            return cls(everything=True)
        return cls(prefixes=tuple(_parse_prefix(entry) for entry in entries))

    def allows(self, image: ImageReference) -> bool:
        """Return whether ``image`` lies below one of the prefixes, component by component."""
        if self.everything:
            return True
        return any(
            image.registry == registry
            and (not path or image.repository == path or image.repository.startswith(f"{path}/"))
            for registry, path in self.prefixes
        )

    def describe(self) -> str:
        """Return the prefixes for people."""
        if self.everything:
            return "every image"
        return ", ".join("/".join(part for part in prefix if part) for prefix in self.prefixes) or "no image"


EVERY_IMAGE: Final = AllowedImages(everything=True)


def _parse_prefix(entry: str) -> tuple[str, str]:
    registry, _, path = entry.rstrip("/").partition("/")
    is_host = "." in registry or ":" in registry or registry == "localhost"
    if not is_host or not _HOST.fullmatch(registry.lower()):
        raise InvalidImage(
            f"{entry!r} is not an image prefix: begin with a registry, as in 'docker.io/team', or use '*' alone"
        )
    if path and not all(_COMPONENT.fullmatch(part) for part in path.split("/")):
        raise InvalidImage(f"{entry!r} is not an image prefix: tags, digests and wildcards have no place in it")
    return registry.lower(), path
