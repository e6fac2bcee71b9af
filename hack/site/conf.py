"""Sphinx's settings for the site."""

import tomllib
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]

project = "agentic-operator"
version = release = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
extensions = ["myst_parser"]
html_theme = "furo"
html_title = f"agentic-operator {version}"
html_show_copyright = False
# As on a forge: a heading's anchor is its words.
myst_heading_anchors = 4
nitpicky = True
# Outputs with `…` in them are no JSON.
suppress_warnings = ["misc.highlighting_failure"]
