"""`lookalike search`, `tag`, `models` and `--help` as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def names(results) -> list[str]:
    return [Path(result["path"]).name for result in results]


def test_look_alikes_come_first(indexed, indexed_photos):
    answer = indexed("search", indexed_photos / "album" / "motorcycle_left.png", "--json").json
    assert set(answer) == {"request_id", "model", "took_ms", "labels", "results"}
    first, second, *rest = answer["results"]
    assert names([first, second]) == ["motorcycle_left.png", "motorcycle_right.png"]
    assert first["score"] == pytest.approx(1.0, abs=1e-3)
    assert first["score"] > second["score"] > max(result["score"] for result in rest)
    assert set(first) == {
        *("id", "score", "path", "tags", "width", "height", "taken_at", "meta", "thumbnail"),
    }
    assert first["path"] == str(indexed_photos / "album" / "motorcycle_left.png")
    shown = indexed("search", indexed_photos / "coffee.png", "--limit", 1)
    assert shown.out.startswith("shows: espresso") and str(indexed_photos / "coffee.png") in shown.out


def test_a_tag_narrows_a_search(indexed, indexed_photos):
    found = indexed("search", indexed_photos / "coffee.png", "--tag", "cat", "--json").json["results"]
    assert names(found) == ["chelsea.png"]
    both = indexed("search", indexed_photos / "coffee.png", "--tag", "cat", "--tag", "vehicle", "--json").json[
        "results"
    ]
    assert both == []


def test_tags_are_taken_literally(indexed, indexed_photos):
    for tag in ('" or 1==1', "100%", "\\", "кошка"):
        result = indexed.told("search", indexed_photos / "coffee.png", "--tag", tag)
        assert result.status == 2 and "there is no tag" in result.err, tag


def test_a_box_searches_a_part_of_an_image(indexed, indexed_photos):
    found = indexed("search", indexed_photos / "chelsea.png", "--box", "0.2,0.1,0.6,0.8", "--json").json
    assert names(found["results"])[0] == "chelsea.png" and 0.3 < found["results"][0]["score"] < 0.999


def test_wrong_use_names_what_is_wrong(indexed, indexed_photos):
    for arguments, says in (
        (["--limit", "0"], "--limit"),
        (["--limit", "100000"], "--limit"),
        (["--box", "0,0,2,1"], "--box"),
        (["--box", "a"], "--box"),
        (["--collection", "nothing"], "nothing"),
        (["--tag", "no such tag"], "no such tag"),
    ):
        result = indexed.told("search", indexed_photos / "coffee.png", *arguments)
        assert result.status == 2 and says in result.err and result.out == "", arguments


def test_a_missing_or_invalid_image_is_named(indexed, tmp_path):
    (tmp_path / "text.jpg").write_text("not an image")
    for name in ("missing.jpg", "text.jpg"):
        result = indexed.told("search", tmp_path / name)
        assert result.status == 2 and name in result.err and len(result.err.splitlines()) == 1


def test_tags_of_files_and_folders(lookalike, photos):
    result = lookalike("tag", photos / "coffee.png", photos / "album", "--json")
    assert result.status == 0
    document = result.json
    assert document["model"] == "tf_efficientnet_lite0"
    assert [image["path"] for image in document["images"]] == [
        str(photos / "coffee.png"),
        str(photos / "album" / "motorcycle_left.png"),
        str(photos / "album" / "motorcycle_right.png"),
    ]
    best = document["images"][0]["labels"][0]
    assert (best["name"], best["class_id"], best["categories"]) == ("espresso", 967, ["coffee", "drink"])
    assert best["confidence"] > 0.9
    assert all(len(image["labels"]) == 5 for image in document["images"])


def test_tags_report_each_file_that_fails(lookalike, photos):
    (photos / "text.jpg").write_text("not an image")
    result = lookalike("tag", photos / "text.jpg", photos / "coffee.png", photos / "missing.jpg", "--json")
    assert result.status == 1
    by_name = {Path(image["path"]).name: image for image in result.json["images"]}
    assert by_name["text.jpg"]["error"]["code"] == "image_undecodable"
    assert by_name["missing.jpg"]["error"]["code"] == "file_unreadable"
    assert by_name["coffee.png"]["labels"][0]["name"] == "espresso"


def test_labels_have_a_minimum_confidence(lookalike, photos):
    labels = lookalike("tag", photos / "chelsea.png", "--min-confidence", 0.2, "--json").json["images"][0]["labels"]
    assert [label["name"] for label in labels] == ["tiger cat", "Egyptian cat"]


def test_help_needs_no_heavy_library():
    code = "import sys, lookalike; lookalike.main(['--help']); print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for module in ("torch", "timm", "openvino", "pymilvus", "fastapi", "numpy", "PIL"):
        assert f"'{module}'" not in out


@pytest.mark.parametrize(
    "command", ["run", "index", "search", "tag", "serve", "keys", "jobs", "worker", "models", "copy"]
)
def test_every_command_has_a_help_text(lookalike, command):
    result = lookalike(command, "--help")
    assert result.status == 0 and f"Usage: lookalike {command}" in result.out


def test_an_embedded_search_imports_no_torch(indexed, indexed_photos):
    code = (
        "import sys, lookalike\n"
        f"status = lookalike.main(['search', {str(indexed_photos / 'coffee.png')!r}])\n"
        "sys.exit('torch' in sys.modules or status)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=indexed.environment(), check=False)
    assert done.returncode == 0


def test_models_lists_the_recommended_ones(lookalike):
    models = {model["name"]: model for model in lookalike("models", "--json").json["models"]}
    default = models["tf_efficientnet_lite0"]
    assert (default["weights"], default["dimension"], default["input_size"]) == ("packaged", 1280, 224)
    assert default["parameters"] == 4_652_008


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_output_that_cannot_be_written_is_one_sentence():
    command = [sys.executable, "-m", "lookalike", "--help"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "lookalike: the output cannot be written: No space left on device\n"


def test_a_reader_that_has_seen_enough_needs_no_word():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "lookalike", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
