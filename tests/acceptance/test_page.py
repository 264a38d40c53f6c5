"""The web page in a real browser on the real service: searching, filtering, browsing, the view of one picture."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect
from support.browser import SIZES, watched
from support.page_photos import shots_folder
from support.running import running
from support.toy import picture
from support.web_server import WebServer

CARDS = ".grid .card"
at_a_desk = pytest.mark.parametrize("window", ["desktop"], indirect=True)
BYTES_AS_FILE = """([bytes, kind]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], "dropped.jpg", { type: "image/jpeg" }));
  const init = { bubbles: true, cancelable: true };
  const event = kind === "paste" ? new ClipboardEvent(kind, { ...init, clipboardData: data })
    : new DragEvent(kind, { ...init, dataTransfer: data });
  document.body.dispatchEvent(event);
}"""


def names(page: Page) -> list[str]:
    return page.locator(f"{CARDS}:visible .name").all_inner_texts()


def wait_for_results(page: Page) -> list[str]:
    expect(page.locator(".search .heading .muted")).to_contain_text("most similar first")
    return names(page)


def test_search_by_a_picture_and_by_an_area_of_it(window, page_stand):
    page = window.open()
    page.set_input_files("#picture", page_stand.folder / "photos" / "chelsea small.jpg")
    found = wait_for_results(page)
    assert found[0] == "chelsea small.jpg" and set(found[1:3]) == {"chelsea.jpg", "chelsea cropped.jpg"}
    expect(page.locator(f"{CARDS} .score").first).to_have_text("similarity 1.00")
    label = page.locator(".tag-scores li").first
    expect(label).to_contain_text(re.compile(r"cat|tabby", re.IGNORECASE))
    expect(label).to_contain_text(re.compile(r"\d+%"))
    window.check_access()
    window.shot("search")
    page.get_by_role("button", name="Select an area").click()
    page.locator(".canvas").press("Shift+ArrowLeft")
    page.locator(".canvas").press("ArrowUp")
    page.locator(".canvas").press("Enter")
    expect(page).to_have_url(re.compile(r"box=0\.25%2C0\.23%2C0\.48%2C0\.5"))
    wait_for_results(page)
    expect(page.get_by_role("button", name="Search the whole picture")).to_be_visible()
    window.shot("area")
    page.go_back()
    expect(page).not_to_have_url(re.compile("box="))
    assert names(page) == found


def test_a_box_is_drawn_on_the_query(window):
    page = window.open()
    page.locator(CARDS, has_text="astronaut").click()
    wait_for_results(page)
    page.get_by_role("button", name="Select an area").click()
    area = page.locator(".canvas").bounding_box()
    assert area
    x, y, width, height = (area[part] for part in ("x", "y", "width", "height"))
    window.drag((x + width * 0.3, y + height * 0.05), (x + width * 0.6, y + height * 0.4))
    expect(page).to_have_url(re.compile(r"box=0\.\d+%2C0\.05%2C0\.\d+%2C0\.35"))
    wait_for_results(page)
    expect(page.locator(".tag-scores li").first).to_be_visible()


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(window, page_stand, kind):
    page = window.open()
    data = list((page_stand.folder / "photos" / "coffee.jpg").read_bytes())
    page.evaluate(BYTES_AS_FILE, [data, kind])
    assert set(wait_for_results(page)[:2]) == {"coffee.jpg", "coffee again.jpg"}
    expect(page.locator("h1")).to_have_text("dropped.jpg")


def test_a_phone_takes_a_photo(window, page_stand):
    page = window.open()
    expect(page.get_by_role("button", name="Take a photo")).to_be_visible(visible=window.phone)
    assert page.locator("#camera").get_attribute("capture") == "environment"
    page.set_input_files("#camera", page_stand.folder / "photos" / "rocket.jpg")
    assert wait_for_results(page)[0] == "rocket.jpg"


@pytest.mark.parametrize("size", SIZES)
def test_a_picture_is_searched_by_its_address(chromium, tmp_path, size):
    with WebServer().running() as web, running(tmp_path, f"web={web.place[1]}") as server:
        web.answers["/album/red.png"] = lambda exchange: exchange.reply(picture("red"))
        for name in ("red", "blue"):
            sent = {"files": {"file": (f"my {name}.png", picture(name))}, "data": {"id": name}}
            assert httpx.post(f"{server.address}/v1/images", **sent).status_code == 201
        with watched(chromium, server.address, shots_folder(tmp_path / "shots"), size) as window:
            page = window.open()
            page.get_by_label("Address of a picture").fill(f"{web.base}/album/red.png")
            page.get_by_role("button", name="Search", exact=True).click()
            assert wait_for_results(page) == ["my red.png", "my blue.png"]
            expect(page.locator("h1")).to_have_text("red.png")
            expect(page.locator(".tag-scores li").first).to_contain_text("red")
            window.check_access()
            page.reload()
            assert wait_for_results(page) == ["my red.png", "my blue.png"]


def test_an_address_that_is_not_fetched_is_explained(window):
    window.expect("status of 422")
    page = window.open()
    page.get_by_label("Address of a picture").fill("http://127.0.0.1/cat.jpg")
    page.get_by_role("button", name="Search", exact=True).click()
    failed = page.locator(".search .grid + .end .failed")
    expect(failed).to_contain_text("url_blocked")
    expect(failed).to_contain_text("Save the picture and choose its file instead")
    expect(page).to_have_url(re.compile("url=http"))
    window.check_access()
    window.shot("refused-address")


def test_a_file_that_is_no_picture_is_explained(window, page_stand):
    window.expect("status of 4(15|22)")
    page = window.open()
    page.set_input_files("#picture", page_stand.folder / "more" / "no picture.jpg")
    expect(page.locator(".end .failed")).to_contain_text("can't be opened as a picture")
    window.shot("no-picture")


def test_more_like_this_and_the_way_back(window):
    page = window.open()
    expect(page.locator(CARDS)).to_have_count(12)
    before = names(page)
    page.locator(CARDS, has_text="coffee again").click()
    assert wait_for_results(page)[0] == "coffee.jpg"
    page.locator(CARDS).first.click()
    expect(page.locator("h1")).to_have_text("coffee.jpg")
    page.go_back()
    expect(page.locator("h1")).to_have_text("coffee again.jpg")
    page.go_back()
    expect(page.get_by_role("heading", name="All pictures")).to_be_visible()
    assert names(page) == before
    page.go_forward()
    expect(page.locator("h1")).to_have_text("coffee again.jpg")


def test_results_are_narrowed_down_and_the_address_is_shared(window, page_stand):
    page = window.open()
    page.locator(CARDS, has_text="chelsea small").click()
    wait_for_results(page)
    chip = page.locator(".tag-filter .chip", has_text="animal")
    count = int(chip.locator(".muted").inner_text())
    total = page_stand.client.get("/v1/images", params={"tag": "animal"}).json()["total"]
    assert count == total >= 3
    chip.click()
    expect(page.locator(".search .heading .muted")).to_have_text(f"{count - 1} pictures, most similar first")
    page.get_by_label("Taken from").fill("2024-05-01")
    expect(page).to_have_url(re.compile("from=2024-05-01"))
    page.get_by_label("to", exact=True).fill("2024-05-31")
    expect(page).to_have_url(re.compile("to=2024-05-31"))
    expect(page.locator(".search .heading .muted")).to_have_text("1 picture, most similar first")
    assert names(page) == ["chelsea.jpg"]
    shared = page.url
    slider = page.get_by_label("Minimum similarity")
    slider.fill("0.99")
    expect(page.locator(".end")).to_contain_text("Move the slider to the left")
    window.check_access()
    expect(page).to_have_url(re.compile(r"min=0\.99"))
    window.shot("score-filter")
    slider.fill("0.3")
    assert names(page) == ["chelsea.jpg"]
    page.goto(shared)
    wait_for_results(page)
    assert names(page) == ["chelsea.jpg"]
    page.get_by_role("link", name="Any date").click()
    expect(page.locator(".search .heading .muted")).to_have_text(f"{count - 1} pictures, most similar first")


def test_a_collection_is_browsed_by_tag_and_day(window):
    page = window.open()
    expect(page.locator(".heading .muted").last).to_have_text("12 pictures")
    window.check_access()
    window.shot("browse")
    page.locator(".chip", has_text="cat").first.click()
    expect(page).to_have_url(re.compile("tag="))
    expect(page.locator("h1")).to_contain_text("cat")
    expect(page.locator(f"{CARDS}").first).to_be_visible()
    assert names(page) and all("chelsea" in name for name in names(page))
    window.shot("tag")
    page.get_by_role("link", name="Show all pictures").click()
    page.get_by_label("Taken from").fill("2024-05-01")
    expect(page.locator("h1")).to_have_text("Taken since May 1, 2024")
    expect(page.locator(".heading .muted").last).to_have_text("3 pictures")
    assert sorted(names(page)) == ["chelsea.jpg", "coffee again.jpg", "coffee.jpg"]
    page.get_by_label("Taken from").fill("2025-01-01")
    expect(page.locator(".end .notice")).to_contain_text("Pictures without a date are not shown")
    window.shot("no-such-day")


def test_a_pictures_own_page_and_its_removal(window, page_stand):
    data = (page_stand.folder / "photos" / "rocket.jpg").read_bytes()
    sent = {"files": {"file": ("sent.jpg", data)}, "data": {"id": "sent", "meta": '{"album": "Space"}'}}
    assert page_stand.client.post("/v1/images", **sent).status_code == 201
    page = window.open("/?id=sent")
    wait_for_results(page)
    if window.phone:
        page.get_by_text("Details").click()
    details = page.locator("dl")
    for text in ("sent.jpg (uploaded)", "Feb 11, 2015", "Space", "pixels"):
        expect(details).to_contain_text(text)
    window.check_access()
    window.shot("picture")
    page.get_by_role("button", name="Remove from the index…").click()
    expect(page.get_by_role("dialog")).to_contain_text("The copy that the service keeps is deleted too")
    window.check_access()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert page_stand.client.get("/v1/images/sent").status_code == 200
    page.get_by_role("button", name="Remove from the index…").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove from the index").click()
    expect(page.get_by_role("heading", name="All pictures")).to_be_visible()
    assert page_stand.client.get("/v1/images/sent").status_code == 404
    page.locator(CARDS, has_text="rocket").click()
    wait_for_results(page)
    if window.phone:
        page.get_by_text("Details").click()
    path = str(page_stand.folder / "photos" / "rocket.jpg")
    expect(details.locator("code")).to_have_text(path)
    window.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy file path").click()
    expect(page.get_by_role("button", name="Copy file path")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == path and Path(path).exists()


@at_a_desk
def test_everything_is_reached_by_keys(window):
    page = window.open()
    expect(page.locator(CARDS).first).to_be_visible()
    page.keyboard.press("Shift+Tab")
    for _ in range(12):
        if page.evaluate("document.activeElement.className") == "skip":
            break
        page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.className"))
        if reached[-1] == "card":
            break
    assert reached[-1] == "card" and "button" in reached and "chip" in reached
    page.keyboard.press("Enter")
    wait_for_results(page)
    assert page.evaluate("document.activeElement.tagName") == "H1"
