"""Which files of a group may be named: those that are there as they were indexed, and each once."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from duplicates.review import present
from store.records import Row
from store.row_builder import row_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def row(source: str, path: str, size: int = 3, modified_at: int = 0) -> Row:
    return Row(row_id(source, path), source, path, "h", 0, np.ones(2), (), 1, 1, size, None, modified_at, NOW, {})


@pytest.fixture
def library(tmp_path: Path) -> Path:
    library = tmp_path / "library"
    (library / "2024").mkdir(parents=True)
    (library / "a.jpg").write_bytes(b"abc")
    (library / "2024" / "b.jpg").write_bytes(b"abc")
    return library


def paths(rows: list[Row]) -> list[str]:
    return [row.path for row in present(rows)]


def test_files_that_are_there_are_named(library: Path):
    time = (library / "a.jpg").stat().st_mtime_ns
    rows = [row(str(library), "a.jpg", modified_at=time), row(str(library), "2024/b.jpg")]
    assert present(rows) == rows


def test_files_that_are_gone_or_changed_are_not_named(library: Path):
    rows = [
        row(str(library), "a.jpg"),
        row(str(library), "gone.jpg"),
        row(str(library), "2024/b.jpg", size=4),
        row(str(library), "a.jpg/below", size=3),
    ]
    assert paths(rows) == ["a.jpg"]
    os.utime(library / "a.jpg", ns=(1, 1))
    assert paths([row(str(library), "a.jpg", modified_at=2)]) == []


@pytest.mark.parametrize("link_first", [True, False])
def test_a_link_is_no_copy_of_its_file(library: Path, link_first: bool):
    (library / "0-link.jpg").symlink_to(library / "a.jpg")
    os.link(library / "2024" / "b.jpg", library / "c-hard.jpg")
    names = ["0-link.jpg", "a.jpg", "2024/b.jpg", "c-hard.jpg"]
    rows = [row(str(library), name) for name in (names if link_first else reversed(names))]
    assert set(paths(rows)) == {"a.jpg", "2024/b.jpg" if link_first else "c-hard.jpg"}


def test_a_file_that_two_roots_reach_is_one(library: Path):
    assert len(present([row(str(library), "2024/b.jpg"), row(str(library / "2024"), "b.jpg")])) == 1


def test_other_spellings_in_a_list_are_one_file(library: Path):
    names = ["a.jpg", "./a.jpg", "../library/a.jpg", f"file://{library}/a.jpg"]
    rows = [row(str(library / "list.csv"), name, modified_at=7) for name in names]
    assert paths(rows) == ["a.jpg"]


def test_what_is_on_another_machine_is_not_judged(tmp_path: Path):
    rows = [
        row(str(tmp_path / "not mounted"), "a.jpg"),
        row("s3://bucket/photos", "a.jpg"),
        row("upload", "a.jpg"),
    ]
    assert present(rows) == rows
