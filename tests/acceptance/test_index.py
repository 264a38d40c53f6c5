"""`lookalike index` as a user runs it."""

import json
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from store import open_store

OPENED = """
import atexit, os, sys
folder, log = os.environ["WATCHED"], os.environ["OPENED"]
def hook(event, arguments):
    if event == "open" and os.fsdecode(str(arguments[0])).startswith(folder):
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a") as file:
            file.write(f"{arguments[0]}\\n")
sys.addaudithook(hook)
"""


def ids(data: Path) -> list[str]:
    with open_store("", "", data, 30) as store:
        return sorted(known.id for known in store.open("photos").known())


def test_a_folder_becomes_a_collection_and_stays_one(lookalike, photos, tmp_path):
    first = lookalike("index", photos, "--json")
    assert first.status == 0 and first.err == ""
    report = first.json
    assert set(report) == {
        *("collection", "model", "found", "indexed", "copied", "skipped", "removed", "failed", "seconds"),
        *("images_per_second", "failures"),
    }
    assert (report["collection"], report["model"]) == ("photos", "tf_efficientnet_lite0")
    assert (report["found"], report["indexed"], report["failures"]) == (6, 6, [])

    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(OPENED)
    log = tmp_path / "opened"
    watching = {"PYTHONPATH": str(hooks), "WATCHED": str(photos), "OPENED": str(log)}
    second = lookalike("index", photos, "--json", **watching).json
    assert (second["found"], second["skipped"], second["indexed"]) == (6, 6, 0)
    assert not log.exists()
    (photos / "coffee.png").touch()
    third = lookalike("index", photos, "--json", **watching).json
    assert (third["skipped"], third["copied"], third["indexed"]) == (5, 1, 0)
    assert log.read_text().splitlines() == [str(photos / "coffee.png")]


def test_renamed_files_are_copied(lookalike, photos):
    lookalike("index", photos)
    for file in [path for path in photos.rglob("*") if path.is_file()]:
        file.rename(file.with_name(f"renamed {file.name}"))
    report = lookalike("index", photos, "--prune", "--json").json
    assert (report["found"], report["copied"], report["indexed"], report["removed"]) == (6, 6, 0, 6)


def test_failures_are_listed_by_name_and_exit_with_1(lookalike, photos):
    (photos / "broken.jpg").write_bytes((photos / "rocket.jpg").read_bytes()[:1000])
    (photos / "empty.png").write_bytes(b"")
    result = lookalike("index", photos, "--json")
    assert result.status == 1
    report = result.json
    assert report["found"] == 8 == report["indexed"] + report["failed"]
    assert {Path(f["path"]).name: f["code"] for f in report["failures"]} == {
        "broken.jpg": "image_undecodable",
        "empty.png": "image_undecodable",
    }
    shown = lookalike("index", photos)
    assert "8 images found" in shown.out and f"failed: {photos}/broken.jpg: " in shown.err


def test_names_that_are_not_utf_8_are_indexed(lookalike, tmp_path, photos):
    folder = tmp_path / "names"
    folder.mkdir()
    shutil.copy(photos / "rocket.jpg", os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jpg"))
    assert lookalike("index", folder, "--json").json["indexed"] == 1
    assert lookalike("index", folder, "--json").json["skipped"] == 1
    result = lookalike("search", photos / "rocket.jpg", "--json").json["results"][0]
    assert Path(result["path"]).name == "caf\ufffd.jpg"


@pytest.mark.parametrize(
    "make, status, says",
    [
        (lambda path: None, 2, "there is no folder"),
        (lambda path: path.write_bytes(b""), 2, "is neither a folder nor a list"),
        (lambda path: path.mkdir(), 0, ""),
    ],
)
def test_a_folder_that_cannot_be_indexed_is_one_sentence(lookalike, tmp_path, make, status, says):
    make(tmp_path / "folder")
    result = lookalike.told("index", tmp_path / "folder")
    assert result.status == status and says in result.err
    assert len(result.err.splitlines()) == (1 if says else 0)
    if status == 0:
        assert "0 images found" in result.out


def test_wrong_settings_are_named(lookalike, photos):
    result = lookalike.told("index", photos, LOOKALIKE_MAX_PIXELS="many")
    assert result.status == 2 and "LOOKALIKE_MAX_PIXELS" in result.err


@pytest.mark.slow  # two networks are converted
def test_another_model_is_refused_with_what_to_do(lookalike, photos, tmp_path):
    import safetensors.torch
    import timm

    weights = tmp_path / "small.safetensors"
    safetensors.torch.save_file(timm.create_model("mobilenetv3_small_050").state_dict(), weights)
    other = f"mobilenetv3_small_050@{weights}"
    lookalike("index", photos)
    for command in (("index", photos), ("search", photos / "coffee.png")):
        result = lookalike(*command, LOOKALIKE_MODEL=other)
        assert result.status == 2
        assert "tf_efficientnet_lite0" in result.err and "--model" in result.err
    assert lookalike("index", photos, "--model", other, "--collection", "other", "--json").json["indexed"] == 6
    assert lookalike("index", photos, "--json").json["skipped"] == 6


def many_photos(folder: Path, photos: Path) -> Path:
    """Copies that differ in their bytes, so that each must be embedded."""
    folder.mkdir()
    originals = [path for path in sorted(photos.rglob("*")) if path.is_file()]
    for i in range(120):
        original = originals[i % len(originals)]
        (folder / f"{i:03}{original.suffix}").write_bytes(original.read_bytes() + i.to_bytes(4, "big"))
    return folder


@pytest.mark.parametrize("kills", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_loses_and_doubles_nothing(lookalike, photos, tmp_path, kills):
    folder = many_photos(tmp_path / "many", photos)
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(lookalike.data, undisturbed, symlinks=True)
    lookalike("index", folder, LOOKALIKE_DATA=str(undisturbed))
    expected = ids(undisturbed)
    assert len(expected) == 120
    files = sorted(folder.iterdir())
    for _ in range(kills):
        kill_after(lookalike.start("index", folder), random.uniform(0.5, 3.5))
        for file in random.sample(files, 30):  # so that the next run has work to be killed at
            file.touch()
    report = lookalike("index", folder, "--json").json
    assert report["found"] == 120 == report["indexed"] + report["skipped"] + report["copied"]
    assert ids(lookalike.data) == expected


def kill_after(process: subprocess.Popen[str], seconds: float) -> None:
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(lookalike, photos, tmp_path):
    folder = many_photos(tmp_path / "many", photos)
    # on a slow machine it is still importing by then, and Python leaves the file of an interrupted import open
    process = lookalike.start("index", folder, PYTHONWARNINGS="error,default::ResourceWarning")
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=1.5)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == ""
    assert "Traceback" not in err and err.splitlines()[-1] == "lookalike: stopped"
    report = lookalike("index", folder, "--json").json
    assert report["found"] == 120 == report["indexed"] + report["skipped"]


def test_a_locked_data_directory_is_one_sentence(lookalike, photos, tmp_path):
    (tmp_path / "empty").mkdir()
    watcher = lookalike.start("index", tmp_path / "empty", "--watch", "--json")
    try:
        assert json.loads(read_document(watcher))["found"] == 0
        result = lookalike("index", photos)
        assert result.status == 2 and len(result.err.splitlines()) == 1
        assert str(lookalike.data) in result.err
    finally:
        os.killpg(watcher.pid, signal.SIGINT)
        watcher.communicate(timeout=30)


def read_document(process: subprocess.Popen[str]) -> str:
    """Return the next JSON document of a command that goes on."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.rstrip() == "}":
            return "".join(lines)
    raise AssertionError(f"it ended: {process.communicate()}")


def test_watching_follows_files_as_they_come_and_go(lookalike, photos, tmp_path):
    folder = tmp_path / "watched"
    folder.mkdir()
    watcher = lookalike.start("index", folder, "--watch", "--json")
    try:
        assert json.loads(read_document(watcher))["found"] == 0
        shutil.copy(photos / "coffee.png", tmp_path / "whole.png")
        (tmp_path / "whole.png").rename(folder / "coffee.png")
        came = json.loads(read_document(watcher))
        assert (came["found"], came["indexed"]) == (1, 1)
        shutil.copy(photos / "chelsea.png", tmp_path / "whole.png")
        (tmp_path / "whole.png").rename(folder / "chelsea.png")
        assert json.loads(read_document(watcher))["indexed"] == 1
        (folder / "coffee.png").unlink()
        went = json.loads(read_document(watcher))
        assert (went["found"], went["removed"]) == (1, 1)
        (folder / "chelsea.png").unlink()  # the last one: as if the drive were gone
        assert "none was removed" in watcher.stderr.readline() + watcher.stderr.readline()
        shutil.copy(photos / "chelsea.png", tmp_path / "whole.png")
        (tmp_path / "whole.png").rename(folder / "chelsea.png")
        shutil.copy(photos / "coffee.png", tmp_path / "whole.png")
        (tmp_path / "whole.png").rename(folder / "coffee.png")
        assert json.loads(read_document(watcher))["found"] >= 1  # it goes on
    finally:
        os.killpg(watcher.pid, signal.SIGINT)
        _, err = watcher.communicate(timeout=30)
    assert watcher.returncode == 0 and "Traceback" not in err
