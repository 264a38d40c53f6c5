"""The difference between a folder and a collection, with a toy model and the store that keeps rows in memory."""

import os
import shutil
from pathlib import Path

import pytest
from support.toy import TOY, ToyEmbedder, picture

from embeddings.errors import DiskFull, SourceUnavailable
from indexer.pipeline.index_source import index_source
from indexer.pipeline.progress import IndexProgress
from indexer.sources.folder import Folder
from store.base import Collection
from store.row_builder import row_id
from store.testing import MemoryStore

MAX_BYTES = 100_000


@pytest.fixture
def embedder():
    with ToyEmbedder() as toy:
        yield toy


@pytest.fixture
def collection():
    return MemoryStore().create("photos", TOY)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def index(folder: Path, collection: Collection, embedder: ToyEmbedder, prune: bool = False) -> IndexProgress:
    progress = index_source(Folder(folder), collection, embedder, MAX_BYTES, prune, lambda _: None)
    assert progress.found == progress.indexed + progress.copied + progress.skipped + progress.failed
    return progress


def paths(collection: Collection) -> set[str]:
    return {known.path for known in collection.known()}


def counts(progress: IndexProgress) -> dict[str, int]:
    named = ("indexed", "copied", "skipped", "removed", "failed")
    return {name: value for name in named if (value := getattr(progress, name))}


def test_a_folder_becomes_rows(folder, collection, embedder):
    (folder / "red.png").write_bytes(picture("red", size=(40, 30)))
    (folder / "green.png").write_bytes(picture("green"))
    assert counts(index(folder, collection, embedder)) == {"indexed": 2}
    (row,) = collection.fetch([row_id(str(folder), "red.png")], with_vectors=True)
    assert (row.source, row.path, row.width, row.height) == (str(folder), "red.png", 40, 30)
    assert row.bytes == (folder / "red.png").stat().st_size
    assert row.modified_at == (folder / "red.png").stat().st_mtime_ns
    assert row.vector == pytest.approx([1, 0, 0], abs=1e-3)
    assert [tag.name for tag in row.tags] == ["red"]


def test_an_unchanged_folder_is_not_opened(folder, collection, embedder, monkeypatch):
    (folder / "red.png").write_bytes(picture("red"))
    index(folder, collection, embedder)
    monkeypatch.setattr("indexer.sources.folder.read_file", None)
    assert counts(index(folder, collection, embedder)) == {"skipped": 1}
    assert embedder.runs == [1]


def test_a_changed_file_is_indexed_again(folder, collection, embedder):
    file = folder / "a.png"
    file.write_bytes(picture("red"))
    index(folder, collection, embedder)
    file.write_bytes(picture("green", "blue"))
    assert counts(index(folder, collection, embedder)) == {"indexed": 1}
    (row,) = collection.fetch([row_id(str(folder), "a.png")], with_vectors=True)
    assert row.vector == pytest.approx([0, 0.7071, 0.7071], abs=1e-3)


def test_a_touched_file_keeps_its_row_without_the_network(folder, collection, embedder):
    file = folder / "a.png"
    file.write_bytes(picture("red"))
    index(folder, collection, embedder)
    os.utime(file, ns=(1, 1))
    assert counts(index(folder, collection, embedder)) == {"copied": 1}
    assert counts(index(folder, collection, embedder)) == {"skipped": 1}
    assert embedder.runs == [1] and collection.count() == 1


def test_renamed_files_are_copied(folder, collection, embedder):
    for colour in ("red", "green", "blue"):
        (folder / f"{colour}.png").write_bytes(picture(colour))
    index(folder, collection, embedder)
    runs = list(embedder.runs)
    for colour in ("red", "green", "blue"):
        (folder / f"{colour}.png").rename(folder / f"new {colour}.png")
    assert counts(index(folder, collection, embedder, prune=True)) == {"copied": 3, "removed": 3}
    assert embedder.runs == runs
    assert paths(collection) == {"new red.png", "new green.png", "new blue.png"}


def test_a_moved_library_keeps_what_it_knew(folder, collection, embedder, tmp_path):
    (folder / "red.png").write_bytes(picture("red"))
    index(folder, collection, embedder)
    (before,) = collection.fetch([row_id(str(folder), "red.png")], with_vectors=True)
    collection.upsert([type(before)(**{**vars(before), "meta": {"album": "Rome"}})])
    moved = tmp_path / "moved"
    folder.rename(moved)
    assert counts(index(moved, collection, embedder, prune=True)) == {"copied": 1, "removed": 1}
    (row,) = collection.fetch([row_id(str(moved), "red.png")])
    assert (row.source, row.meta, collection.count()) == (str(moved), {"album": "Rome"}, 1)


def test_a_copy_of_a_file_does_not_take_its_meta_or_its_row(folder, collection, embedder, tmp_path):
    (folder / "red.png").write_bytes(picture("red"))
    index(folder, collection, embedder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "red.png").write_bytes(picture("red"))
    assert counts(index(other, collection, embedder, prune=True)) == {"copied": 1}
    assert collection.count() == 2


def test_doubles_in_one_run_go_through_the_network_once(folder, collection, embedder):
    for i in range(5):
        (folder / f"{i}.png").write_bytes(picture("red"))
    assert counts(index(folder, collection, embedder)) == {"indexed": 1, "copied": 4}
    assert embedder.runs == [1] and collection.count() == 5


def test_failures_are_named_and_stop_nothing(folder, collection, embedder):
    (folder / "red.png").write_bytes(picture("red"))
    (folder / "broken.png").write_bytes(picture("red")[:60])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_bytes(b"not an image")
    (folder / "large.png").write_bytes(bytes(MAX_BYTES + 1))
    (folder / "link.jpg").symlink_to("nothing")
    progress = index(folder, collection, embedder)
    assert counts(progress) == {"indexed": 1, "failed": 5}
    assert {Path(failure.path).name: failure.code for failure in progress.failures} == {
        "broken.png": "image_undecodable",
        "empty.jpg": "image_undecodable",
        "text.jpg": "image_undecodable",
        "large.png": "image_too_large",
        "link.jpg": "file_unreadable",
    }
    assert all(failure.message for failure in progress.failures)


def test_doubles_of_a_broken_file_all_fail_and_are_decoded_once(folder, collection, embedder):
    for i in range(3):
        (folder / f"{i}.png").write_bytes(picture("red")[:60])
    assert counts(index(folder, collection, embedder)) == {"failed": 3}
    assert counts(index(folder, collection, embedder)) == {"failed": 3}


def test_a_mended_file_is_indexed(folder, collection, embedder):
    (folder / "a.png").write_bytes(picture("red")[:60])
    assert counts(index(folder, collection, embedder)) == {"failed": 1}
    (folder / "a.png").write_bytes(picture("red"))
    assert counts(index(folder, collection, embedder)) == {"indexed": 1}


class VanishingFolder(Folder):
    """A folder from which a file is taken once it is listed."""

    def references(self):
        yield from super().references()
        (Path(self.root) / "red.png").unlink()


def test_a_file_that_vanishes_midway_is_a_failure(folder, collection, embedder):
    for colour in ("red", "green"):
        (folder / f"{colour}.png").write_bytes(picture(colour))
    progress = index_source(VanishingFolder(folder), collection, embedder, MAX_BYTES, False, lambda _: None)
    assert counts(progress) == {"indexed": 1, "failed": 1}
    assert progress.failures[0].code == "file_unreadable" and "not there any more" in progress.failures[0].message


def test_without_prune_rows_of_gone_files_stay(folder, collection, embedder):
    for colour in ("red", "green"):
        (folder / f"{colour}.png").write_bytes(picture(colour))
    index(folder, collection, embedder)
    (folder / "red.png").unlink()
    assert counts(index(folder, collection, embedder)) == {"skipped": 1}
    assert paths(collection) == {"red.png", "green.png"}
    assert counts(index(folder, collection, embedder, prune=True)) == {"skipped": 1, "removed": 1}
    assert paths(collection) == {"green.png"}


def test_a_folder_that_is_empty_at_once_is_not_pruned_unasked(folder, collection, embedder):
    (folder / "red.png").write_bytes(picture("red"))
    (folder / "sub").mkdir()
    (folder / "sub" / "green.png").write_bytes(picture("green"))
    index(folder, collection, embedder)
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(SourceUnavailable, match="the collection has 2 of it, and none was removed"):
        index(folder, collection, embedder, prune=True)
    assert collection.count() == 2
    progress = index_source(Folder(folder), collection, embedder, MAX_BYTES, True, lambda _: None, even_if_empty=True)
    assert counts(progress) == {"removed": 2}
    assert counts(index(folder, collection, embedder, prune=True)) == {}


def test_prune_leaves_other_folders_alone(folder, collection, embedder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for place in (folder, other):
        for colour in ("red", "green"):
            (place / f"{colour}.png").write_bytes(picture(colour))
        index(place, collection, embedder)
    (folder / "red.png").unlink()
    assert counts(index(folder, collection, embedder, prune=True)) == {"skipped": 1, "removed": 1}
    left = {(known.source, known.path) for known in collection.known()}
    assert left == {(str(folder), "green.png"), (str(other), "red.png"), (str(other), "green.png")}


def test_prune_keeps_the_rows_of_what_could_not_be_looked_at(folder, collection, embedder):
    (folder / "album").mkdir()
    (folder / "album" / "red.png").write_bytes(picture("red"))
    index(folder, collection, embedder)
    (folder / "album").rename(folder / "away")
    (folder / "album").symlink_to("album")  # a link to itself cannot be entered
    (folder / "away" / "red.png").unlink()
    assert counts(index(folder, collection, embedder, prune=True)) == {"failed": 1}
    assert paths(collection) == {"album/red.png"}


def test_interrupted_and_run_again_it_ends_as_if_nothing_had_happened(folder, collection, embedder):
    for i in range(100):
        (folder / f"{i:03}.png").write_bytes(picture("red", "green", size=(64 + i, 64)))

    def stop(progress: IndexProgress) -> None:
        if progress.indexed:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_source(Folder(folder), collection, embedder, MAX_BYTES, False, stop)
    kept = collection.count()
    assert 0 < kept < 100
    assert counts(index(folder, collection, embedder)) == {"indexed": 100 - kept, "skipped": kept}
    assert paths(collection) == {f"{i:03}.png" for i in range(100)}


class FullDisk:
    """A collection whose disk is full."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def __getattr__(self, name):
        return getattr(self._collection, name)

    def upsert(self, rows):
        raise DiskFull


def test_a_store_that_fails_ends_the_run_with_its_error(folder, collection, embedder):
    for i in range(3):
        (folder / f"{i}.png").write_bytes(picture("red", size=(64 + i, 64)))
    with pytest.raises(DiskFull):
        index(folder, FullDisk(collection), embedder)
    assert counts(index(folder, collection, embedder)) == {"indexed": 3}
