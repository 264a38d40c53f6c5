"""Names, vectors and confidences stay as they are, and the data directory of an earlier version is understood."""

import difflib
import json
import os
import re
import shutil
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import skimage
from golden.names import names
from support.lookalike_command import Lookalike

from embeddings.embedder import Embedder, Embedding, tags_of
from embeddings.settings import Settings
from embeddings.tagging.tagger import Tagger

GOLDEN = Path(__file__).parents[1] / "golden"
PACKAGED = Path(skimage.__file__).parent / "data"
PHOTOS = json.loads((GOLDEN / "photos.json").read_text())
KEY = "lk_7jDflr5I7B2cexmL8cfI2I6lzuJg4_DBe7xIKPIxyXE"  # of a directory that exists in this test alone
LIBRARY = Path("/tmp/lookalike-golden/photos")  # rows name their files by absolute paths
FILES = ("coffee.png", "rocket.jpg", "camera.png", "cats/chelsea.png", "cats/copy.png")
TAKEN = 1714564800  # when the library's files were changed, in seconds since 1970


@pytest.mark.server
def test_names_that_are_stored_or_seen_stay() -> None:
    before = (GOLDEN / "names.json").read_text().splitlines()
    now = json.dumps(names(), indent=1).splitlines()
    assert not list(difflib.unified_diff(before, now, lineterm="", n=0))


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tagger, dict[str, Embedding]]]:
    settings = Settings(data=tmp_path_factory.mktemp("data"), precision="fp32")
    with Embedder(settings) as embedder:
        identity = embedder.identity
        assert (identity.name, identity.fingerprint) == (PHOTOS["model"], PHOTOS["fingerprint"])
        results = embedder.embed([(PACKAGED / name).read_bytes() for name in PHOTOS["photos"]])
        embeddings = [result for result in results if isinstance(result, Embedding)]
        yield embedder.tagger, dict(zip(PHOTOS["photos"], embeddings, strict=True))


@pytest.mark.parametrize("name", PHOTOS["photos"])
def test_vectors_stay(name: str, embedded: tuple[Tagger, dict[str, Embedding]]) -> None:
    _, embeddings = embedded
    before = np.load(GOLDEN / "vectors.npz")[name]
    assert float(before @ embeddings[name].vector) > 0.9999


@pytest.mark.parametrize("name", PHOTOS["photos"])
def test_facts_and_confidences_stay(name: str, embedded: tuple[Tagger, dict[str, Embedding]]) -> None:
    tagger, embeddings = embedded
    before, now = PHOTOS["photos"][name], embeddings[name]
    assert (now.width, now.height, f"{now.phash:016x}") == (before["width"], before["height"], before["phash"])
    assert {label.name: label.confidence for label in tagger.labels(now.vector, now.logits, 5)} == pytest.approx(
        before["labels"], abs=0.002
    )
    (tags,) = tags_of([now], tagger)
    assert {tag.name: tag.confidence for tag in tags} == pytest.approx(before["tags"], abs=0.002)


@pytest.fixture
def earlier(tmp_path: Path) -> Lookalike:
    """Return the command over a data directory that version 3e3cd0d wrote, with the library that it names."""
    with tarfile.open(GOLDEN / "data-3e3cd0d.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    (LIBRARY / "cats").mkdir(parents=True, exist_ok=True)
    strays = [file for file in LIBRARY.rglob("[!.]*") if file.is_file()]
    for file in strays:
        if str(file.relative_to(LIBRARY)) not in FILES:
            file.unlink(missing_ok=True)
    for name in FILES:
        source = PACKAGED / ("chelsea.png" if "cats" in name else name)
        partial = LIBRARY / f".{os.getpid()}"
        shutil.copy(source, partial)
        os.utime(partial, (TAKEN, TAKEN))
        partial.replace(LIBRARY / name)
    return Lookalike(tmp_path)


def test_a_data_directory_of_before_opens_searches_resumes_and_copies(earlier: Lookalike) -> None:
    again = earlier("index", LIBRARY, "--json").json
    assert (again["found"], again["skipped"], again["failed"]) == (5, 5, 0)
    hits = earlier("search", LIBRARY / "coffee.png", "--json", "--limit", "1").json["results"]
    assert hits[0]["path"] == str(LIBRARY / "coffee.png") and hits[0]["score"] > 0.99
    assert earlier("search", LIBRARY / "coffee.png", "--json", "--tag", "cat").json["results"][0]["score"] < 0.9
    assert "exact-4984a5e80e627ae4" in earlier("duplicates", "--kept").out
    copied = earlier("copy", "photos", "third", "--json").json
    assert (copied["found"], copied["copied"], copied["missing"]) == (6, 6, [])


def test_a_service_over_a_data_directory_of_before_has_its_keys_jobs_and_uploads(earlier: Lookalike) -> None:
    process = earlier.start("serve", "--port", 0)
    try:
        assert process.stderr is not None
        address = next(found[0] for line in process.stderr if (found := re.search(r"http://[\d.:]+", line)))
        with httpx.Client(base_url=address, timeout=60) as http:
            check_service(http)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)


def check_service(http: httpx.Client) -> None:
    assert http.get("/v1/jobs").status_code == 401
    http.headers["Authorization"] = f"Bearer {KEY}"
    (job,) = http.get("/v1/jobs").json()["jobs"]
    assert (job["id"], job["state"], job["found"]) == ("18ebe288a3eec82e-86dd57b7", "done", 5)
    assert http.get("/v1/images/small-1").json()["meta"] == {"album": "Rome"}
    assert http.get("/v1/images/small-1/file").content == (PACKAGED / "microaneurysms.png").read_bytes()
    names = {one["name"]: one["count"] for one in http.get("/v1/collections").json()["collections"]}
    assert names == {"photos": 6, "second": 5}
