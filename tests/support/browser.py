"""A real Chromium that is watched: nothing it asks for leaves this machine, and what it complains of fails the test."""

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
GRAVE = {"serious", "critical"}
SHOT_SECONDS = 10.0  # that a screenshot waits for pictures
PICTURES_ARE_THERE = "[...document.images].every(i => i.complete || i.getBoundingClientRect().top > innerHeight)"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser that knows no host but this machine."""
    rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    arguments = [rules, "--no-sandbox", "--disable-dev-shm-usage"]  # in containers there is neither
    command = debian_command("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=command, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """One window on the service; `expect` names complaints of the browser that a test provokes."""

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
        """Go to an address of the service in this window."""
        self.page.goto(self.address + address)
        return self.page

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag from one point of the window to another: with a finger on a phone, else with the mouse."""
        if self.phone:
            hand = self.context.new_cdp_session(self.page)
            for kind, points in (("touchStart", [start]), ("touchMove", [end]), ("touchEnd", [])):
                touches = [{"x": x, "y": y} for x, y in points]
                hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
            return
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=4)
        self.page.mouse.up()

    def expect(self, pattern: str) -> None:
        self._expected.append(pattern)

    def shot(self, name: str) -> None:
        """Keep a picture of what is to be seen, once all pictures in sight are there."""
        deadline = time.monotonic() + SHOT_SECONDS
        while not self.page.evaluate(PICTURES_ARE_THERE) and time.monotonic() < deadline:
            self.page.wait_for_timeout(50)
        self.page.screenshot(path=self._shots / f"{name}-{self.size}.png", animations="disabled")

    def check_access(self) -> None:
        """Fail for what axe calls a serious or critical fault of accessibility."""
        found = Axe().run(self.page).response["violations"]
        grave = [
            (fault["id"], fault["help"], [node["html"][:200] for node in fault["nodes"]])
            for fault in found
            if fault["impact"] in GRAVE
        ]
        assert not grave, grave

    def check(self) -> None:
        """Fail for what went out, or wrong, and was not expected."""
        strange = [fault for fault in self._faults if not any(re.search(one, fault) for one in self._expected)]
        assert not strange, strange

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.address, "blob:", "data:")):
            self._faults.append(f"asked elsewhere: {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._faults.append(f"console: {message.text}")


@contextmanager
def watched(browser: Browser, address: str, shots: Path, size: str) -> Iterator[Watched]:
    """Give a window of a size; what it complained of fails the test at the end."""
    context = browser.new_context(locale="en-US", timezone_id="UTC", **SIZES[size])
    context.set_default_timeout(15_000)
    window = Watched(context, address, shots, size)
    try:
        yield window
        window.check()
    finally:
        context.close()
