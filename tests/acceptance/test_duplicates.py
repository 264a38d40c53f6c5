"""`lookalike duplicates` as a user runs it."""

import csv
import io
import json
import os
import signal
import time
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance, ImageOps


@pytest.fixture
def album(photos) -> Path:
    """The six photos, edited copies of some, and one doubled."""
    with Image.open(photos / "chelsea.png") as cat:
        cat.load()
    cat.save(photos / "chelsea.jpg", quality=40)
    ImageOps.mirror(cat).save(photos / "chelsea mirrored.jpg", quality=90)
    cat.resize((cat.width // 2, cat.height // 2)).save(photos / "chelsea small.png")
    with Image.open(photos / "coffee.png") as coffee:
        ImageEnhance.Brightness(coffee.crop((15, 10, 600, 400))).enhance(0.8).save(photos / "album" / "=coffee.jpg")
    (photos / "album" / "rocket again.jpg").write_bytes((photos / "rocket.jpg").read_bytes())
    return photos


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(group: dict) -> set[str]:
    return {Path(image["path"]).name for image in group["images"]}


def by_kind(document: dict) -> dict[str, list[set[str]]]:
    found: dict[str, list[set[str]]] = {}
    for group in document["groups"]:
        found.setdefault(group["kind"], []).append(names(group))
    return found


CATS = {"chelsea.png", "chelsea.jpg", "chelsea mirrored.jpg", "chelsea small.png"}


def test_copies_are_found_and_nothing_is_touched(lookalike, album):
    before = files(album)
    assert lookalike("index", album).status == 0
    result = lookalike("duplicates", "--json")
    assert (result.status, result.err) == (0, "")
    found = by_kind(result.json)
    assert found["exact"] == [{"rocket.jpg", "rocket again.jpg"}]
    assert found["near"] == [CATS, {"coffee.png", "=coffee.jpg"}]
    cats = next(group for group in result.json["groups"] if names(group) == CATS)
    assert next(i["path"] for i in cats["images"] if i["id"] == cats["best"]).endswith("chelsea.png")
    assert cats["best_because"] == "size"
    shown = lookalike("duplicates")
    assert f"  * {album / 'chelsea.png'}" in shown.out and "best (size)" in shown.out
    assert ", mirrored" in shown.out and "photos: 3 groups (1 exact, 2 near, 0 similar)" in shown.out
    only = lookalike("duplicates", "--csv", "--kind", "near")
    lines = list(csv.DictReader(io.StringIO(only.out)))
    assert len(lines) == 6 and {line["kind"] for line in lines} == {"near"}
    assert files(album) == before
    assert len(lookalike("search", album / "rocket.jpg", "--json", "--limit", 100).json["results"]) == 11


def test_decisions_survive_renaming_and_indexing_anew(lookalike, album):
    lookalike("index", album)
    groups = lookalike.told("duplicates", "--json").json["groups"]
    cats, coffee = (next(g for g in groups if some <= names(g)) for some in (CATS, {"coffee.png"}))
    decided = lookalike("duplicates", "--keep-all", cats["id"], "--not-duplicates", coffee["id"])
    assert decided.status == 0 and f"{cats['id']}: keep all (4 contents)" in decided.out
    (album / "chelsea.png").rename(album / "album" / "my cat.png")
    album.rename(album.with_name("moved"))
    lookalike("index", album.with_name("moved"))
    (lookalike.data / "milvus").rename(lookalike.data / "away")  # and all from the beginning
    lookalike("index", album.with_name("moved"))
    assert set(by_kind(lookalike.told("duplicates", "--json").json)) == {"exact"}
    kept = by_kind(lookalike.told("duplicates", "--json", "--kept").json)["near"]
    assert kept == [CATS - {"chelsea.png"} | {"my cat.png"}]
    assert lookalike.told("duplicates", "--undo", cats["id"], "--undo", coffee["id"]).status == 0
    assert len(by_kind(lookalike.told("duplicates", "--json").json)["near"]) == 2
    for option in ("--undo", "--keep-all"):
        unknown = lookalike.told("duplicates", option, "near-0")
        assert unknown.status == 2 and "near-0" in unknown.err


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on(lookalike, album):
    lookalike("index", album)
    began = time.monotonic()
    expected = lookalike("duplicates", "--json").json
    whole = time.monotonic() - began
    for share in (0.6, 0.85):
        for file in (lookalike.data / "duplicates").glob("photos_*"):
            file.unlink()
        process = lookalike.start("duplicates", "--json")
        time.sleep(share * whole)  # the moment is what is tested, whichever it is
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert lookalike("duplicates", "--json").json == expected
    process = lookalike.start("duplicates", "--json")
    time.sleep(0.6 * whole)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    stopped = (process.returncode, err.splitlines()[-1:]) == (130, ["lookalike: stopped"])
    assert stopped or json.loads(out) == expected  # it had said all


def test_wrong_use_names_what_is_wrong(lookalike):
    for arguments, says in [
        (["--kind", "twins"], "--kind"),
        (["--json", "--csv"], "either --json or --csv"),
        (["--collection", "nothing"], "nothing"),
    ]:
        result = lookalike.told("duplicates", *arguments)
        assert result.status == 2 and says in result.err and result.out == ""
