"""A real browser before the console: Chromium, driven by Playwright, that notes whatever a page must not do."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    ViewportSize,
    expect,
    sync_playwright,
)

from hack.console import CONSOLE
from tests.support.waiting import wait_for

ROOT: Final = Path(__file__).parents[2]
IMAGES: Final = ROOT / "docs" / "images"
# `SCREENSHOTS=1 pytest tests/browser` writes the pictures of the documentation anew.
ARE_PICTURES_WANTED: Final = os.environ.get("SCREENSHOTS") == "1"
WIDE: Final[ViewportSize] = {"width": 1280, "height": 800}
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
# A page does all that is waited for within a second or two; the machine may be busy.
PATIENCE_SECONDS: Final = 45
FLAGS: Final = (
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Letters look the same on every machine.
    "--font-render-hinting=none",
)
# Chromium says this of every answer that is a refusal; that one came is what the test is about. And pods that start and
# end change the machine's addresses: Chromium then drops what is on its way, as where a laptop changes its network.
_EXPECTED: Final = re.compile(
    r"Failed to load resource: (the server responded with a status of \d+|net::ERR_NETWORK_CHANGED)"
    r"|WebSocket connection to .* failed: .*ERR_NETWORK_CHANGED"
)
_LOSS: Final = re.compile(
    r"net::ERR_(CONNECTION|EMPTY|SOCKET|ABORTED|NETWORK|INTERNET|FAILED|CONTENT_LENGTH|INCOMPLETE)"
    r"|WebSocket connection to .* failed"
    # axe, which reads the page's styles.
    r"|Couldn't load preload assets"
)

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


def find_chromium() -> str:
    """Return the program."""
    program = shutil.which("chromium")
    assert program is not None, "no chromium: run `python -m hack.cluster deps browser`"
    return program


@contextmanager
def running_chromium(program: str = "") -> Iterator[Browser]:
    """Start a browser with a profile of its own; ``program`` is what starts it, where not Chromium itself."""
    program = program or find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """A browser window of one person, and what their pages did that they must not."""

    context: BrowserContext
    page: Page
    address: str
    faults: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Go to a path of the console."""
        self.page.goto(self.address + path)

    def sign_in(self, token: str, path: str = "/sessions") -> None:
        """Come in with a token, as the page does it, and go to a path."""
        self.open(f"/sign-in?return={path}" if "?" not in path else "/sign-in")
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        self.page.get_by_role("navigation", name="Main").wait_for()
        if "?" in path:
            self.open(path)

    def check_accessibility(self, *, outside: str = "") -> None:
        """Assert that axe finds nothing on the page as it is; ``outside`` is a selector that is left out."""
        self.page.evaluate((CONSOLE / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
        context = {"exclude": [outside]} if outside else "document"
        script = "async (context) => (await axe.run(context === 'document' ? document : context)).violations"
        found: list[dict[str, Any]] = self.page.evaluate(script, context)
        shown = [
            f"{each['id']}: {node['html'][:300]} {node['failureSummary']}" for each in found for node in each["nodes"]
        ]
        assert not shown, "\n\n".join(shown)

    def wait_within_width(self) -> None:
        """Wait until nothing of the page is beyond its width."""
        script = "() => [document.documentElement.scrollWidth, innerWidth]"
        wait_for(lambda: self.page.evaluate(script), lambda widths: widths[0] <= widths[1], what="all within the width")

    def forgive_losses(self) -> None:
        """Take out of the faults what Chromium says of connections that the test broke."""
        self.faults[:] = [fault for fault in self.faults if not _LOSS.search(fault)]

    def take_pictures(self, name: str) -> None:
        """Write the page as it is, wide and as on a phone, light and dark, where pictures are wanted."""
        if not ARE_PICTURES_WANTED:
            return
        IMAGES.mkdir(exist_ok=True)
        for theme in ("light", "dark"):
            self.page.emulate_media(color_scheme=theme)
            for size, viewport in (("wide", WIDE), ("phone", PHONE)):
                self.page.set_viewport_size(viewport)
                self.page.evaluate("() => document.fonts.ready")
                self.page.screenshot(
                    path=IMAGES / f"console-{name}-{theme}-{size}.png", animations="disabled", caret="hide"
                )
        self.page.set_viewport_size(WIDE)
        self.page.emulate_media(color_scheme="light")


def open_visitor(browser: Browser, address: str, **options: Any) -> Visitor:
    """Open a window; what is refused by the page's policy, thrown, or fetched from elsewhere is a fault."""
    context = browser.new_context(
        viewport=WIDE,
        color_scheme="light",
        locale="en-GB",
        timezone_id="Europe/Berlin",
        reduced_motion="reduce",
        **options,
    )
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    page = context.new_page()
    visitor = Visitor(context, page, address)

    def note_message(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _EXPECTED.match(message.text):
            visitor.faults.append(f"{message.type}: {message.text} ({message.location['url']})")

    def note_dialog(dialog: Dialog) -> None:
        visitor.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def note_request(request: Request) -> None:
        visitor.requests.append(request)
        if not request.url.startswith((address, "blob:")):
            visitor.faults.append(f"fetched {request.url}")

    page.on("console", note_message)
    page.on("pageerror", lambda error: visitor.faults.append(f"thrown: {error}"))
    page.on("dialog", note_dialog)
    context.on("request", note_request)
    return visitor
