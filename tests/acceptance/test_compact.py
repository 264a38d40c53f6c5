"""`lookalike compact` as a user runs it: there, with all that goes on meanwhile, and back."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from support.page_photos import PACKAGED
from support.waiting import until

from embeddings.models.identity import ModelIdentity
from store import open_store
from store.records import Row

MODEL = ModelIdentity("made-up", "0123456789ab", 256)
ROWS = 5_000
REPORT = {
    *("collection", "model", "rows", "dimension_before", "dimension", "whitening", "neighbours_kept", "queries"),
    *("vector_bytes_before", "vector_bytes", "ms_a_query_before", "ms_a_query", "switched", "seconds"),
}


def made_up(count: int, dimension: int = MODEL.dimension) -> list[Row]:
    """Rows in small groups that lie near to each other."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((count // 20 + 1, 40)) @ random.standard_normal((40, dimension))
    vectors = np.repeat(centres, 20, axis=0)[:count] + 0.5 * random.standard_normal((count, dimension))
    return [
        Row(
            id=f"{n}",
            source="/srv/photos",
            path=f"{n}.jpg",
            content_hash=f"{n}",
            phash=n,
            vector=vector.astype(np.float32),
            tags=(),
            width=4,
            height=3,
            bytes=n,
            taken_at=None,
            modified_at=n,
            indexed_at=datetime(2026, 3, 4, tzinfo=UTC),
            meta={},
        )
        for n, vector in enumerate(vectors)
    ]


def fill(data: Path, rows: list[Row], model: ModelIdentity = MODEL) -> None:
    with open_store("", "", data, 30) as store:
        store.create("photos", model).upsert(rows)


def dimensions(data: Path) -> tuple[int, int]:
    with open_store("", "", data, 30) as store:
        collection = store.open("photos")
        return collection.model.dimension, collection.count()


@pytest.mark.parametrize(
    "sign, status", [(signal.SIGKILL, -signal.SIGKILL), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_build_that_is_stopped_leaves_the_collection_as_it_was(lookalike, sign, status):
    fill(lookalike.data, made_up(ROWS))
    running = lookalike.start("compact", "photos", "--dim", "128", "--yes")
    built = lookalike.data / "milvus" / "collections"

    def both_are_there() -> bool:
        return len([one for one in built.rglob("schema.json") if "_axes_" not in str(one)]) >= 2

    until(lambda: both_are_there() or running.poll() is not None)
    assert running.poll() is None, running.communicate()
    os.kill(running.pid, sign)
    _, err = running.communicate(timeout=60)
    assert running.returncode == status
    if sign == signal.SIGINT:
        assert "photos is unchanged, and the same command starts again" in err and "Traceback" not in err
    assert dimensions(lookalike.data) == (256, ROWS)
    report = lookalike("compact", "photos", "--dim", "128", "--json").json
    assert set(report) == REPORT and report["switched"]
    assert (report["rows"], report["dimension_before"], report["dimension"]) == (ROWS, 256, 128)
    assert (report["vector_bytes_before"], report["vector_bytes"]) == (ROWS * 1024, ROWS * 512)
    assert report["neighbours_kept"] > 0.7
    assert dimensions(lookalike.data) == (128, ROWS)


@pytest.fixture
def library(lookalike, photos):
    """Six photos and enough rows of the same model that are made up."""
    assert lookalike("index", photos).status == 0
    with open_store("", "", lookalike.data, 30) as store:
        collection = store.open("photos")
        collection.upsert(made_up(700, collection.model.dimension))
    return lookalike


def first(lookalike, photo: Path) -> str:
    return Path(lookalike("search", photo, "--json", "--limit", "1").json["results"][0]["path"]).name


def test_everything_goes_on_in_a_compact_collection_and_back(library, photos, tmp_path):
    result = library("compact", "photos", "--dim", "128")
    assert (result.status, result.err) == (0, "")
    assert "photos: 706 rows, 1,280 -> 128 dimensions, vectors 3.6 -> 0.4 MB" in result.out
    assert "of the ten nearest are kept" in result.out and "photos is compact now" in result.out
    assert first(library, photos / "coffee.png") == "coffee.png"
    # what is known is not read again; what is new is added, what is doubled is copied with its compact vector
    (photos / "twin.png").write_bytes((photos / "coffee.png").read_bytes())
    (photos / "rocket.jpg").rename(tmp_path / "rocket.jpg")
    (photos / "new.png").write_bytes((PACKAGED / "page.png").read_bytes())
    counts = library("index", photos, "--prune", "--json").json
    assert [counts[name] for name in ("skipped", "copied", "indexed", "removed")] == [5, 1, 1, 1]
    assert first(library, photos / "new.png") == "new.png"
    copied = library("copy", "photos", "--to", tmp_path / "other", "--json").json
    assert (copied["copied"], copied["verified"]) == (707, 100)
    elsewhere = library("search", photos / "new.png", "--json", LOOKALIKE_DATA=str(linked(library, tmp_path)))
    assert Path(elsewhere.json["results"][0]["path"]).name == "new.png"
    back = library("compact", "photos", "--back", "--json").json
    assert (back["copied"], back["embedded"], back["left_behind"], back["switched"]) == (1, 1, [], True)
    assert dimensions(library.data) == (1280, 707)
    assert first(library, photos / "new.png") == "new.png"
    assert library("index", photos, "--json").json["skipped"] == 7
    assert library("compact", "photos", "--drop", "--yes").out == "photos: 707 rows of 128 dimensions removed\n"


def linked(lookalike, tmp_path: Path) -> Path:
    (tmp_path / "other" / "models").symlink_to(lookalike.data / "models")
    return tmp_path / "other"


@pytest.mark.slow
def test_rows_whose_pictures_are_gone_are_named_before_going_back(library, photos):
    assert library("compact", "photos", "--dim", "128").status == 0
    (photos / "new.png").write_bytes((PACKAGED / "page.png").read_bytes())
    library("index", photos)
    (photos / "new.png").unlink()
    refused = library("compact", "photos", "--back")
    assert refused.status == 2 and "1 row came after the switch" in refused.err
    assert f"(new.png of {photos})" in refused.err and dimensions(library.data) == (128, 707)
    back = library("compact", "photos", "--back", "--yes")
    assert back.status == 1 and "1 left behind" in back.out and f"lookalike index {photos}" in back.err
    assert dimensions(library.data) == (1280, 706)


def test_what_cannot_be_made_compact_is_one_sentence(lookalike):
    fill(lookalike.data, made_up(600))
    for arguments, says in [
        (["photos"], "give one of --dim, --back and --drop"),
        (["photos", "--drop"], "--drop cannot be undone: add --yes"),
        (["photos", "--dim", "128"], "128 dimensions take at least 640, and there are 600"),
        (["photos", "--dim", "256"], "have 256 dimensions, and 256 are not fewer"),
        (["holidays", "--dim", "128"], "no collection 'holidays'"),
        (["photos", "--back"], "is not compact: there is nothing to go back to"),
    ]:
        result = lookalike.told("compact", *arguments)
        assert result.status == 2 and says in result.err, result.err
    assert lookalike.told("compact", "photos", "--drop", "--yes").out == "photos: there are no other vectors\n"
