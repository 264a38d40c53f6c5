"""The promises about real photos: accuracy, calibration, retrieval, orientation, and files that attack decoders."""

import csv
import json
import threading
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.processes import tree_pss
from benchmarks.quality.retrieval import retrieval
from benchmarks.rows import all_rows
from embeddings.embedder import Embedder
from embeddings.settings import Settings
from embeddings.tagging.calibration import expected_calibration_error
from store import open_store

GIGABYTE = 1_000_000_000


def test_tags_are_right_and_know_how_sure_they_are(lookalike, shared_data):
    folder = shared_data / "imagenet_labelled"
    labels = csv.DictReader((folder / "labels.csv").read_text().splitlines())
    true = {row["file"]: int(row["class_index"]) for row in labels}
    images = lookalike("tag", folder / "images", "--json").json["images"]
    assert len(images) == len(true)
    ranked = {Path(image["path"]).name: [label["class_id"] for label in image["labels"]] for image in images}
    first = np.array([ranked[name][0] == true[name] for name in true])
    assert first.mean() >= 0.86
    assert np.mean([true[name] in ranked[name][:5] for name in true]) >= 0.975
    confidence = {Path(image["path"]).name: image["labels"][0]["confidence"] for image in images}
    assert expected_calibration_error(np.array([confidence[name] for name in true]), first) <= 0.06


@pytest.mark.slow
def test_a_photo_finds_others_of_its_kind(lookalike, shared_data):
    report = lookalike("index", shared_data / "grocery" / "natural", "--json").json
    assert report["found"] == report["indexed"] + report["copied"] == 1567
    with open_store("", "", lookalike.data, 30) as store:
        collection = store.open("photos")
        found = retrieval(collection, all_rows(collection))
    assert found["recall@1"] >= 0.90
    assert found["precision@10"] >= 0.60
    assert found["mAP"] >= 0.49


def test_all_orientations_of_a_photo_find_each_other_first(lookalike, shared_data):
    folder = shared_data / "photos" / "exif_orientation"
    assert lookalike("index", folder, "--json").json["indexed"] == 18
    files = [folder / f"{photo}_{i}.jpg" for photo in ("Landscape", "Portrait") for i in range(9)]
    with open_store("", "", lookalike.data, 30) as store, Embedder(Settings(data=lookalike.data)) as embedder:
        vectors = np.array([embedding.vector for embedding in embedder.embed([file.read_bytes() for file in files])])
        found = store.open("photos", embedder.identity).search(vectors, limit=9)
    for file, hits in zip(files, found, strict=True):
        photo = file.name.split("_")[0]
        assert {hit.row.path for hit in hits} == {f"{photo}_{i}.jpg" for i in range(9)}
        assert min(hit.score for hit in hits) >= 0.88


@pytest.mark.parametrize("photo", ["Landscape", "Portrait"])
def test_thumbnails_stand_upright(tmp_path, shared_data, photo):
    pictures = []
    with Embedder(Settings(data=tmp_path)) as embedder:
        for i in range(9):
            data = (shared_data / "photos" / "exif_orientation" / f"{photo}_{i}.jpg").read_bytes()
            pictures.append(Image.open(BytesIO(embedder.pool.thumbnail(data, 320).result())))
    assert {max(picture.size) for picture in pictures} == {320}
    assert all((picture.width > picture.height) == (photo == "Landscape") for picture in pictures)
    reference = np.asarray(pictures[0], dtype=float)
    for picture in pictures[1:]:
        assert np.abs(np.asarray(picture, dtype=float) - reference).mean() < 12


class MemoryOfTree(threading.Thread):
    """Watches the memory that a process and its children hold together; `peak` is in bytes."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._done = threading.Event()
        self.peak = 0

    def run(self) -> None:
        while not self._done.wait(0.05):
            self.peak = max(self.peak, tree_pss(self._pid))

    def stop(self) -> int:
        self._done.set()
        self.join()
        return self.peak


def test_files_that_attack_decoders_fail_by_name_and_nothing_else_happens(lookalike, shared_data):
    folder = shared_data / "decoders"
    process = lookalike.start("index", folder, "--json")
    memory = MemoryOfTree(process.pid)
    memory.start()
    out, err = process.communicate(timeout=200)
    peak = memory.stop()
    assert process.returncode == 1 and "Traceback" not in err
    report = json.loads(out)
    assert report["found"] == report["indexed"] + report["copied"] + report["failed"]
    assert report["indexed"] + report["copied"] >= 470
    assert all(Path(f["path"]).is_file() and f["message"] for f in report["failures"])
    assert {f["code"] for f in report["failures"]} <= {"image_undecodable", "image_too_large", "unsupported_format"}
    bomb = next(f for f in report["failures"] if Path(f["path"]).name.startswith("6903d453"))
    assert bomb["code"] == "image_too_large"
    assert 0.2 * GIGABYTE < peak < 1.5 * GIGABYTE  # less, and not all of it was seen
