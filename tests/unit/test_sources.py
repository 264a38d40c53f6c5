"""A folder as a source: the files that it lists, and those that it leaves out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embeddings.errors import UsageError
from indexer.sources.base import Reference, Unlistable
from indexer.sources.folder import Folder, file_is_gone
from store.locations import from_text, to_text


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def listed(root: Path) -> list[str]:
    return [item.path for item in Folder(root).references()]


def test_files_of_all_folders_in_the_order_of_their_names(tmp_path):
    make(tmp_path, "b.jpg", "a/2.png", "a/1.png", "c/d/e.webp")
    assert listed(tmp_path) == ["a/1.png", "a/2.png", "b.jpg", "c/d/e.webp"]


def test_size_and_change_time_are_those_of_the_file(tmp_path):
    make(tmp_path, "a.jpg")
    os.utime(tmp_path / "a.jpg", ns=(0, 1_234_567_890_123_456_789))
    (reference,) = Folder(tmp_path).references()
    assert reference == Reference("a.jpg", 5, 1_234_567_890_123_456_789)
    assert Folder(tmp_path).fetch("a.jpg", 100) == b"a.jpg"


def test_hidden_files_and_what_is_no_image_by_name_are_left_out(tmp_path):
    make(
        tmp_path, ".DS_Store", ".thumbs/a.jpg", "notes.txt", "film.MP4", "raw.xmp", "IMG_1.JPG", "noextension", "x.bin"
    )
    assert listed(tmp_path) == ["IMG_1.JPG", "noextension", "x.bin"]


def test_folders_of_other_programs_are_left_out(tmp_path):
    make(
        tmp_path,
        "a.jpg",
        "@eaDir/a.jpg",
        "x/#recycle/b.jpg",
        "$RECYCLE.BIN/c.jpg",
        "__MACOSX/d.jpg",
        "lost+found/e.jpg",
    )
    make(tmp_path, "app/.nomedia", "app/f.jpg", "app/deep/g.jpg", "x/nomedia/h.jpg")
    assert listed(tmp_path) == ["a.jpg", "x/nomedia/h.jpg"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [(-11_644_473_600_000_000_000, -(2**63)), (13_569_465_600_000_000_000, 2**63 - 1), (-1, -1), (None, None)],
)
def test_a_change_time_is_one_that_a_column_can_keep(given, kept):
    assert Reference("a.jpg", 5, given).modified_at == kept


def test_link_loops_have_no_effect(tmp_path):
    make(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")
    items = {item.path: item for item in Folder(tmp_path).references()}
    assert set(items) == {"a/1.jpg", "self"}
    assert isinstance(items["self"], Unlistable)


def test_a_folder_linked_from_outside_is_listed_once(tmp_path):
    make(tmp_path, "library/1.jpg", "elsewhere/2.jpg")
    for name in ("x", "y"):
        (tmp_path / "library" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "library")
    assert listed(tmp_path / "library") == ["1.jpg", "x/2.jpg"]


def test_a_very_deep_tree_is_listed(tmp_path):
    before = Path.cwd()
    try:
        os.chdir(tmp_path)
        for _ in range(1_200):
            Path("d").mkdir()
            os.chdir("d")
        Path("a.jpg").write_bytes(b"x")
        assert [path.count("/") for path in listed(tmp_path)] == [1_200]
    finally:
        os.chdir(before)
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # Python's own is not made for such depths


def test_links_to_files_are_files(tmp_path):
    make(tmp_path, "library/1.jpg", "elsewhere/2.jpg")
    (tmp_path / "library" / "link.jpg").symlink_to(tmp_path / "elsewhere" / "2.jpg")
    assert listed(tmp_path / "library") == ["1.jpg", "link.jpg"]


def test_a_link_to_nothing_is_a_failure(tmp_path):
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    (item,) = Folder(tmp_path).references()
    assert isinstance(item, Unlistable) and "points to nothing" in item.error.message


def test_pipes_and_sockets_are_passed_over(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    make(tmp_path, "a.jpg")
    assert listed(tmp_path) == ["a.jpg"]


def test_names_that_are_not_utf_8_come_back_to_the_same_file(tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(raw)).write_bytes(b"x")
    (item,) = Folder(tmp_path).references()
    assert item.path.encode("utf-8")  # text that any protocol carries
    assert os.fsencode(f"{tmp_path}/{from_text(item.path)}") == raw
    assert Folder(tmp_path).fetch(item.path, 100) == b"x"
    assert to_text(from_text(item.path)) == item.path


LIST_AS_NOBODY = """
import os, sys
from pathlib import Path
from indexer.sources.base import Unlistable
from indexer.sources.folder import Folder
os.setuid(65534)
for item in Folder(Path(sys.argv[1])).references():
    print(type(item).__name__, item.path)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_folder_that_may_not_be_read_is_a_failure_and_the_rest_goes_on(tmp_path):
    make(tmp_path, "a.jpg", "closed/b.jpg", "open/c.jpg")
    (tmp_path / "closed").chmod(0o700)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o077 == 0:  # pytest's own
            folder.chmod(0o755)
    out = subprocess.run(
        [sys.executable, "-c", LIST_AS_NOBODY, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    assert out.splitlines() == ["Reference a.jpg", "Unlistable closed", "Reference open/c.jpg"]


def test_a_source_is_one_folder_however_it_is_spelt(tmp_path, monkeypatch):
    make(tmp_path, "photos/a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    names = {Folder(Path(name)).name for name in ("photos", "./photos/", "link", "photos/../photos")}
    assert names == {str((tmp_path / "photos").resolve())}


@pytest.mark.parametrize("name, says", [("missing", "there is no folder"), ("a.jpg", "is not a folder")])
def test_a_source_that_is_no_folder_is_one_clear_sentence(tmp_path, name, says):
    make(tmp_path, "a.jpg")
    with pytest.raises(UsageError, match=says):
        Folder(tmp_path / name)


def test_a_file_is_gone_only_if_it_surely_is(tmp_path):
    make(tmp_path, "a.jpg")
    assert not file_is_gone(str(tmp_path), "a.jpg")
    assert file_is_gone(str(tmp_path), "b.jpg")
    assert file_is_gone(str(tmp_path), "a.jpg/b.jpg")
