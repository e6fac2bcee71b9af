"""Writes templates of the Helm chart from the manifests, so that the two cannot drift apart.

A template is a manifest's own text, comments included, in which declared places became values. A place that is not
found as often as declared is an error: whoever changes a manifest is told that the chart has to follow (decision 16).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hack.install import NAMESPACE

_METADATA: Final = re.compile(r"^metadata:\n  name: .+\n(?:  namespace: .+\n)?(?:  labels:\n)?", re.MULTILINE)
_LABELS: Final = '  labels:\n    {{- include "agentic-operator.labels" . | nindent 4 }}\n'


class StalePlace(ValueError):
    """A manifest no longer holds a text that the chart replaces; the message names both."""


@dataclass(frozen=True)
class Place:
    """A text of a manifest, and what stands there in the template."""

    old: str
    new: str
    count: int = 1


@dataclass(frozen=True)
class Template:
    """One manifest that becomes one template of the same name."""

    source: str
    places: tuple[Place, ...] = ()
    condition: str = ""
    """When it is rendered; always where empty."""
    annotations: str = ""
    """What renders the annotations of its objects."""
    sections: tuple[tuple[str, str], ...] = ()
    """From which line on which condition holds; the first one is ``""``, from the beginning."""
    each: str = ""
    """What it is rendered once for, as ``$served``; once where empty."""

    @property
    def target(self) -> str:
        """Its file in the chart: ``manifests/vault/vault.yaml`` becomes ``vault-vault.yaml``."""
        return "-".join(self.source.removeprefix("manifests/").split("/"))

    def render(self, text: str) -> str:
        """Return the template's text; raise :class:`StalePlace` where the manifest has changed."""
        text = replace_places(escape(re.sub(r"\A# Generated from .*\n", "", text)), self.places, self.source)
        text = _METADATA.sub(self._complete, text.replace(NAMESPACE, "{{ .Release.Namespace }}"))
        if self.sections:
            text = divide(text, self.sections, self.source)
        if self.each:
            opening = f"{{{{- range $served := {self.each} }}}}\n{{{{- with $ }}}}\n---\n"
            text = f"{opening}{text}{{{{- end }}}}\n{{{{- end }}}}\n"
        if self.condition:
            text = f"{{{{- if {self.condition} }}}}\n{text}{{{{- end }}}}\n"
        return f"{{{{- /* Generated from {self.source} by `make generate`; edit that instead. */ -}}}}\n{text}"

    def _complete(self, found: re.Match[str]) -> str:
        annotations = f"  {self.annotations}\n" if self.annotations else ""
        return found[0].removesuffix("  labels:\n") + annotations + _LABELS


def replace_places(text: str, places: Iterable[Place], source: str) -> str:
    """Return the text with values in its places; raise :class:`StalePlace` if one is not there."""
    for place in places:
        if (found := text.count(place.old)) != place.count:
            raise StalePlace(
                f"{source} holds {place.old!r} {found} times, not {place.count}: correct hack/chart/places.py"
            )
        text = text.replace(place.old, place.new)
    return text


def divide(text: str, sections: Iterable[tuple[str, str]], source: str) -> str:
    """Return the text with a condition around each section; raise :class:`StalePlace` if one does not begin."""
    divided, rest, condition = "", text, ""
    for start, following in sections:
        before, found, after = rest.partition(f"---\n{start}") if start else ("", "-", rest)
        if not found:
            raise StalePlace(f"{source} has no document that begins with {start!r}: correct hack/chart/places.py")
        divided += f"{{{{- if {condition} }}}}\n{before}{{{{- end }}}}\n" if condition else before
        rest, condition = f"---\n{start}{after}" if start else after, following
    return f"{divided}{{{{- if {condition} }}}}\n{rest}{{{{- end }}}}\n"


def escape(text: str) -> str:
    """Keep what only looks like a template to Helm, such as the labels in the texts of alerts."""
    return re.sub(r"\{\{|\}\}", lambda braces: f'{{{{ "{braces[0]}" }}}}', text)


def cut(text: str, start: str, end: str | None = None) -> str:
    """Return the lines from ``start`` up to ``end``; raise :class:`StalePlace` if they are not there."""
    _, begin, rest = text.partition(start)
    part, stop, _ = rest.partition(end) if end else (rest, "-", "")
    if not begin or not stop:
        raise StalePlace(f"no lines from {start!r} to {end!r}: correct what the chart takes from there")
    return begin + part
