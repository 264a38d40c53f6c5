"""Take the screenshots of the documentation, from the real service in a real Chromium.

    python tests/screenshots.py /home/ann

HOME must not exist: it is created, filled with the photos of `make run`, a few copies and a library with two damaged
files, and removed at the end. Its path is visible in the screenshots.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from PIL.ExifTags import Base
from playwright.sync_api import Browser, Page, expect
from support.browser import IMAGES_LOADED, chromium
from support.page_photos import PACKAGED, write_copies, write_more

from cli.run import DEMO_PHOTOS

IMAGES = Path(__file__).parent.parent / "docs" / "images"
COMMAND = Path(sys.executable).parent / "lookalike"
DESK = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
PHONE = {
    "viewport": {"width": 390, "height": 780},
    "device_scale_factor": 1.5,
    "color_scheme": "dark",
    "is_mobile": True,
    "has_touch": True,
}
DECODE_IMAGES = "Promise.all([...document.images].filter(i => i.complete).map(i => i.decode().catch(() => {})))"
JOB_SECONDS = 60
QUALITY = 82


def main() -> None:
    """Take all screenshots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    home = parser.parse_args().home
    home.mkdir(parents=True)
    try:
        write_pictures(home / "Pictures")
        write_more(home / "holidays")
        with service(home) as address, chromium() as browser:
            on_a_desktop(browser, address, home / "Pictures" / "chelsea small.jpg")
            on_a_phone(browser, address)
    finally:
        shutil.rmtree(home)


def write_pictures(folder: Path) -> None:
    """Write the demo's photos as JPEGs, and three copies: one exact, one cropped, one small."""
    folder.mkdir()
    for name in DEMO_PHOTOS:
        day = Image.Exif()
        day[Base.DateTime] = "2024:05:02 12:00:00"
        Image.open(PACKAGED / name).convert("RGB").save(folder / f"{Path(name).stem}.jpg", quality=92, exif=day)
    write_copies(folder)


@contextmanager
def service(home: Path) -> Iterator[str]:
    """Run `lookalike run` on the photos and yield its address."""
    settings = {"LOOKALIKE_DATA": str(home / "data"), "LOOKALIKE_LIBRARIES": f"holidays={home / 'holidays'}"}
    process = subprocess.Popen(
        [COMMAND, "run", home / "Pictures", "--port", "0"],
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    try:
        lines = (re.match(r"open (http\S+)", line) for line in process.stdout)
        yield next(line[1] for line in lines if line)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def on_a_desktop(browser: Browser, address: str, query: Path) -> None:
    """Search, filter, index and scan for duplicates."""
    with page_of(browser, DESK) as page:
        page.goto(address)
        save(page, "start")
        page.set_input_files("#picture", query)
        wait_for_results(page)
        save(page, "search")
        page.get_by_role("button", name="Select an area").click()
        save(page, "part")
        page.goto(address)
        page.locator(".grid .card", has_text="chelsea.jpg").click()
        wait_for_results(page)
        page.goto(f"{page.url}&only=animal&min=0.2")
        wait_for_results(page)
        save(page, "narrow")
        page.get_by_role("link", name="Indexing").click()
        for number, library in enumerate(("Pictures", "holidays"), 1):
            page.get_by_role("combobox", name="Library").select_option(library)
            page.get_by_role("button", name="Start indexing").click()
            expect(page.get_by_role("button", name="Run again")).to_have_count(number, timeout=1000 * JOB_SECONDS)
        save(page, "jobs")
        page.get_by_role("link", name="2 failures").click()
        expect(page.locator("table")).to_be_visible()
        save(page, "failures")
        page.get_by_role("link", name="Duplicates").click()
        expect(page.locator(".progress")).to_contain_text("Last full scan", timeout=1000 * JOB_SECONDS)
        page.reload()
        expect(page.locator(".group").first).to_be_visible()
        save(page, "duplicates")


def on_a_phone(browser: Browser, address: str) -> None:
    """Show the start page and one picture."""
    with page_of(browser, PHONE) as page:
        page.goto(address)
        save(page, "phone-start")
        page.locator(".grid .card", has_text="motorcycle_left").click()
        wait_for_results(page)
        save(page, "phone-picture")


@contextmanager
def page_of(browser: Browser, size: dict[str, object]) -> Iterator[Page]:
    """Yield a new window of a size."""
    context = browser.new_context(locale="en-US", timezone_id="UTC", **size)
    try:
        yield context.new_page()
    finally:
        context.close()


def wait_for_results(page: Page) -> None:
    """Wait until similar pictures are shown."""
    expect(page.locator(".search .heading .muted")).to_contain_text("most similar first")


def save(page: Page, name: str) -> None:
    """Save a screenshot after all visible images have loaded."""
    page.wait_for_load_state("networkidle")
    page.wait_for_function(IMAGES_LOADED)
    page.evaluate(DECODE_IMAGES)  # a loaded image is painted only after it is decoded
    shot = IMAGES / f"{name}.png"
    page.screenshot(path=shot, animations="disabled")
    Image.open(shot).convert("RGB").save(shot.with_suffix(".webp"), quality=QUALITY, method=6)
    shot.unlink()


if __name__ == "__main__":
    main()
