"""The web page in a real browser on the real service: indexing, duplicates, collections, and bad states."""

import re

import pytest
from playwright.sync_api import Page, Route, expect
from support.page_photos import MANY
from support.waiting import until

CARDS = ".grid .card"
TIMEOUT = 60_000  # milliseconds, for work of the service
KEEP_AND_LEAVE = """() => {
  [...document.querySelectorAll("button")].find((button) => button.textContent === "Keep all").click();
  location.assign("/?view=indexing");
}"""


def start_job(page: Page, library: str) -> None:
    page.get_by_role("link", name="Indexing").click()
    page.get_by_role("combobox", name="Library").select_option(library)
    page.get_by_role("button", name="Start indexing").click()


@pytest.fixture
def decisions(page_stand):
    """Returns the decisions about duplicates; decisions left after a test are undone."""

    def asked() -> list[dict]:
        return page_stand.client.get("/v1/duplicates/decisions").raise_for_status().json()["decisions"]

    yield asked
    for decision in asked():
        page_stand.client.delete(f"/v1/duplicates/{decision['id']}/decision").raise_for_status()


def test_nothing_is_there_yet(window):
    page = window.open("/?view=indexing")
    expect(page.locator(".notice")).to_have_text("No jobs yet. Start one above.")
    window.shot("no-jobs")
    page.goto(page.url.replace("indexing", "duplicates&kept=1"))
    expect(page.locator(".notice")).to_contain_text("No decisions yet")


def test_duplicates_are_decided_about_and_taken_back(window, page_stand, decisions):
    page = window.open("/?view=duplicates")
    near, exact = page.locator(".group", has_text="Near:"), page.locator(".group", has_text="Exact:")
    show = page.get_by_role("button", name=re.compile("Show .* found so far"))
    expect(page.locator(".progress")).to_contain_text("Last full scan", timeout=TIMEOUT)
    if show.is_visible():
        show.click()
    expect(exact.locator(".card")).to_have_count(2)
    expect(near.locator(".card")).to_have_count(3)
    expect(near.locator(".best")).to_contain_text("chelsea.jpg")
    expect(near.locator(".best .badge")).to_have_text("Best copy: most pixels")
    expect(near).to_contain_text(re.compile(r"similarity 0\.\d\d, hash differs by \d+ bits?, pixels match \d+%"))
    expect(exact.get_by_role("button", name="Not duplicates")).to_have_count(0)
    window.check_access()
    window.shot("duplicates")
    near.get_by_role("button", name="Keep all").click()
    gone = page.locator(".group", has_text="All kept")
    expect(gone.get_by_role("button", name="Undo")).to_be_focused()
    gone.get_by_role("button", name="Undo").click()
    expect(near.get_by_role("button", name="Keep all")).to_be_focused()
    near.get_by_role("button", name="Not duplicates").click()
    exact.get_by_role("button", name="Keep all").click()
    expect(page.locator(".group", has_text="All kept")).to_be_visible()
    page.reload()
    expect(page.locator(".notice")).to_contain_text("No duplicates found")
    page.get_by_role("link", name="Past decisions").click()
    expect(page.locator(".panel")).to_have_count(2)
    window.check_access()
    window.shot("decisions")
    for left in (1, 0):
        page.get_by_role("button", name="Undo").first.click()
        expect(page.locator(".panel")).to_have_count(left)
    page.get_by_role("link", name="All duplicates").click()
    expect(exact.locator(".card")).to_have_count(2)
    page.locator(".chip", has_text="Near").click()
    expect(page).to_have_url(re.compile("kind=near"))
    expect(page.locator(".group")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.path().read_text().count("chelsea") == 3
    assert len(list((page_stand.folder / "photos").iterdir())) == 12


def test_a_decision_holds_though_the_page_is_left_at_once(window, decisions):
    page = window.open("/?view=duplicates&kind=exact")
    expect(page.locator(".group .card")).to_have_count(2, timeout=TIMEOUT)
    held: list[Route] = []
    page.route("**/v1/duplicates/exact-*", lambda route: held.append(route))
    page.evaluate(KEEP_AND_LEAVE)
    page.wait_for_url("**/?view=indexing")
    held[0].continue_()
    until(decisions, 10)
    assert [decision["decision"] for decision in decisions()] == ["keep_all"]


def test_a_duplicate_is_looked_at(window):
    page = window.open("/?view=duplicates&kind=exact")
    expect(page.locator(".group .card")).to_have_count(2, timeout=TIMEOUT)
    page.locator(".group .card").first.click()
    expect(page.locator("h1")).to_contain_text("coffee")
    page.go_back()
    expect(page.locator(".group .card")).to_have_count(2)


def test_a_library_is_indexed_and_its_failures_are_shown(window):
    page = window.open()
    start_job(page, "more")
    card = page.locator(".panel").first
    expect(card).to_contain_text("Done with failures", timeout=TIMEOUT)
    expect(card).to_contain_text("3 pictures found")
    window.check_access()
    window.shot("jobs")
    card.get_by_role("link", name="2 failures").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("table")).to_contain_text("cut off.jpg")
    expect(page.locator("table")).to_contain_text("image_undecodable")
    window.check_access()
    window.shot("job")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    assert "no picture.jpg" in download.value.path().read_text()
    page.get_by_role("link", name="View pictures").click()
    expect(page.locator(CARDS, has_text="brick")).to_be_visible()


def test_a_job_is_watched_cancelled_and_run_again(window):
    page = window.open()
    library = f"many-{window.size}"
    start_job(page, library)
    page.locator(".panel").first.get_by_role("link", name=library).click()
    panel = page.locator(".panel")
    expect(panel).to_contain_text(f"of {MANY} pictures", timeout=TIMEOUT)
    panel.get_by_role("button", name="Cancel").click()  # at once: it does not run for long
    expect(panel.locator(".state")).to_have_text("Cancelled", timeout=TIMEOUT)
    panel.get_by_role("button", name="Run again").click()
    window.shot("running")
    window.check_access()
    expect(panel.locator(".state")).to_have_text("Done", timeout=TIMEOUT)
    expect(panel).to_contain_text(f"{MANY} pictures found")
    page.get_by_role("link", name="View pictures").click()
    expect(page.locator(CARDS)).to_have_count(48)
    window.shot("many")
    page.mouse.wheel(0, 20_000)
    expect(page.locator(CARDS)).to_have_count(96)
    page.mouse.wheel(0, 20_000)
    expect(page.locator(CARDS).nth(140)).to_be_attached()
    ids = page.eval_on_selector_all(CARDS, "nodes => nodes.map(n => n.href)")
    assert len(ids) == len(set(ids))


def test_collections_are_chosen(window, page_stand):
    data = (page_stand.folder / "photos" / "rocket.jpg").read_bytes()
    sent = {"files": {"file": ("mine.jpg", data)}, "data": {"id": "mine", "collection": "others"}}
    assert page_stand.client.post("/v1/images", **sent).status_code == 201
    page = window.open()
    page.get_by_label("Collection").select_option("others")
    expect(page).to_have_url(re.compile("collection=others"))
    expect(page.locator(CARDS)).to_have_count(1)
    window.shot("collection")
    page.locator(CARDS).click()
    expect(page.locator(".end .notice")).to_have_text("This collection has no other pictures.")
    page.goto(f"{page_stand.address}/?collection=nosuch")
    window.expect("status of 404")
    expect(page.locator(".failed")).to_contain_text("nosuch")


def test_a_slow_and_a_missing_service_say_so(window):
    window.expect("ERR_INTERNET_DISCONNECTED")
    page = window.open()
    expect(page.locator(CARDS).first).to_be_visible()
    waiting = []
    page.route("**/v1/search", lambda route: waiting.append(route))
    page.clock.install()
    page.locator(CARDS).first.click()
    expect(page.locator(".search .heading .muted")).to_have_text("Searching…")
    page.clock.fast_forward(5000)
    expect(page.locator(".search .heading .muted")).to_contain_text("Still searching")
    window.shot("slow")
    waiting[0].continue_()
    expect(page.locator(".search .heading .muted")).to_contain_text("most similar first")
    page.unroute("**/v1/search")
    window.context.set_offline(True)
    page.locator(CARDS).first.click()
    failed = page.locator(".search .grid + .end .failed")
    expect(failed).to_contain_text("Check that it is running, then try again")
    window.shot("no-answer")
    window.context.set_offline(False)
    failed.get_by_role("button", name="Try again").click()
    expect(page.locator(".search .heading .muted")).to_contain_text("most similar first")
