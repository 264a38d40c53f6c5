"""A real Chromium without access to other hosts; unexpected requests and console messages fail the test."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from support.debian import debian_command

SIZES = {
    "desktop": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "color_scheme": "dark",
        "is_mobile": True,
        "has_touch": True,
    },
}
FAILING_IMPACTS = {"serious", "critical"}
SHOT_SECONDS = 10.0  # maximum wait of a screenshot for images
IMAGES_LOADED = "[...document.images].every(i => i.complete || i.getBoundingClientRect().top > innerHeight)"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser that resolves no host but this machine."""
    rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    # containers have neither a user namespace nor a large /dev/shm
    arguments = [rules, "--no-sandbox", "--disable-dev-shm-usage"]
    command = debian_command("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=command, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """One window on the service; `expect` names the faults that a test provokes."""

    def __init__(self, context: BrowserContext, address: str, shots: Path, size: str) -> None:
        self.context = context
        self.address = address
        self.size = size
        self.phone = size == "phone"
        self._shots = shots
        self._faults: list[str] = []
        self._expected: list[str] = []
        context.on("request", self._request)
        context.on("console", self._console)
        context.on("weberror", lambda error: self._faults.append(f"script: {error.error}"))
        self.page = context.new_page()

    def open(self, address: str = "/") -> Page:
        """Open an address of the service in this window."""
        self.page.goto(self.address + address)
        return self.page

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag from one point to another: by touch on a phone, otherwise with the mouse."""
        if self.phone:
            cdp = self.context.new_cdp_session(self.page)
            for kind, points in (("touchStart", [start]), ("touchMove", [end]), ("touchEnd", [])):
                touches = [{"x": x, "y": y} for x, y in points]
                cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
            return
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=4)
        self.page.mouse.up()

    def expect(self, pattern: str) -> None:
        self._expected.append(pattern)

    def shot(self, name: str) -> None:
        """Save a screenshot after all visible images have loaded."""
        deadline = time.monotonic() + SHOT_SECONDS
        while not self.page.evaluate(IMAGES_LOADED) and time.monotonic() < deadline:
            self.page.wait_for_timeout(50)
        self.page.screenshot(path=self._shots / f"{name}-{self.size}.png", animations="disabled")

    def check_access(self) -> None:
        """Fail on accessibility faults that axe rates serious or critical."""
        violations = Axe().run(self.page).response["violations"]
        failing = [
            (fault["id"], fault["help"], [node["html"][:200] for node in fault["nodes"]])
            for fault in violations
            if fault["impact"] in FAILING_IMPACTS
        ]
        assert not failing, failing

    def check(self) -> None:
        """Fail on requests to other hosts and on faults that were not expected."""
        unexpected = [
            fault for fault in self._faults if not any(re.search(pattern, fault) for pattern in self._expected)
        ]
        assert not unexpected, unexpected

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.address, "blob:", "data:")):
            self._faults.append(f"request to another host: {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._faults.append(f"console: {message.text}")


@contextmanager
def watched(browser: Browser, address: str, shots: Path, size: str) -> Iterator[Watched]:
    """Yield a window of a size and check it at the end."""
    context = browser.new_context(locale="en-US", timezone_id="UTC", **SIZES[size])
    context.set_default_timeout(15_000)
    window = Watched(context, address, shots, size)
    try:
        yield window
        window.check()
    finally:
        context.close()
