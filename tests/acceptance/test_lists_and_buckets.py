"""`lookalike index` with lists and buckets, as a user runs it."""

import subprocess
import sys

import pytest
from support.s3_server import running_s3


def test_a_list_is_indexed_and_found(lookalike, photos, tmp_path):
    lines = ["uri,id,meta", *(f"photos/{file.name},shop:{file.stem}," for file in sorted(photos.glob("*.png")))]
    lines += ["photos/missing.png,,", "photos/coffee.png,shop:coffee,"]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    first = lookalike("index", tmp_path / "list.csv", "--json")
    assert first.status == 1
    report = first.json
    assert (report["found"], report["indexed"], report["failed"]) == (5, 3, 2)
    failures = {failure["path"]: failure["message"] for failure in report["failures"]}
    assert failures[str(photos / "missing.png")] == "the file is not there any more"
    assert "line 6 of list.csv cannot be used" in failures[str(photos / "coffee.png")]
    best = lookalike("search", photos / "coffee.png", "--json").json["results"][0]
    assert (best["id"], best["path"]) == ("shop:coffee", str(photos / "coffee.png"))
    assert lookalike("index", tmp_path / "list.csv", "--json").json["skipped"] == 3


@pytest.mark.server
def test_a_bucket_is_indexed_and_found(lookalike, photos):
    upload = (
        "import sys, s3fs; files = s3fs.S3FileSystem(); files.mkdir('bucket'); "
        "files.put(sys.argv[1] + '/', 'bucket/photos/', recursive=True)"
    )
    with running_s3() as environment:
        clean = lookalike.environment(**environment)
        subprocess.run([sys.executable, "-W", "ignore", "-c", upload, photos], env=clean, check=True)
        first = lookalike("index", "s3://bucket/photos", "--json", **environment)
        assert (first.status, first.err) == (0, "")
        report = first.json
        assert (report["found"], report["indexed"], report["failures"]) == (6, 6, [])
        assert lookalike("index", "s3://bucket/photos", "--json", **environment).json["skipped"] == 6
    best = lookalike("search", photos / "coffee.png", "--json").json["results"][0]
    assert best["path"] == "s3://bucket/photos/coffee.png"


def test_wrong_sources_are_one_sentence(lookalike, tmp_path):
    (tmp_path / "list.csv").write_text("file\na.jpg\n")
    for arguments, says in (
        ([tmp_path / "list.csv"], "has no column 'uri'"),
        (["memory://photos", "--watch"], "--watch is for folders"),
        (["https://example.org/photos"], "a web address is not a source of images"),
        (["gs://bucket/photos"], "reading gs:// needs a library that is not installed"),
    ):
        done = lookalike.told("index", *arguments)
        assert done.status == 2 and says in done.err and done.out == ""
