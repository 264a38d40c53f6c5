"""Pictures by the days on which they were taken, in searching, browsing and counting tags; on the toy model."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from PIL.ExifTags import Base
from support.api_client import ApiClient, api_client
from support.toy import picture

DAYS = {"old": "1969:12:31 23:59:59", "may": "2024:05:01 00:00:00", "may-too": "2024:05:01 23:59:59"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    """An app with red pictures of three times, a green one of the day after, and a red one that does not say."""
    with api_client(tmp_path_factory.mktemp("data")) as client:
        for name, when in DAYS.items():
            client.add(dated("red", when), id=name)
        client.add(dated("green", "2024:05:02 00:00:00"), id="next")
        client.add(picture("red"), id="undated")
        yield client


def dated(colour: str, when: str) -> bytes:
    exif, out = Image.Exif(), io.BytesIO()
    exif[Base.DateTime] = when
    Image.open(io.BytesIO(picture(colour))).save(out, "JPEG", exif=exif, quality=95)
    return out.getvalue()


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ({"taken_from": "2024-05-01", "taken_to": "2024-05-01"}, {"may", "may-too"}),
        ({"taken_from": "2024-05-01"}, {"may", "may-too", "next"}),
        ({"taken_to": "2024-05-01"}, {"old", "may", "may-too"}),
        ({"taken_to": "9999-12-31"}, {"old", "may", "may-too", "next"}),
        ({"taken_from": "0001-01-01", "taken_to": "1969-12-31"}, {"old"}),
        ({"taken_from": "2024-05-03"}, set()),
        ({}, {"old", "may", "may-too", "next", "undated"}),
    ],
)
def test_both_days_are_in(client: ApiClient, days: dict[str, str], expected: set[str]) -> None:
    browsed = client.get("/v1/images", params=days).json()
    assert {image["id"] for image in browsed["images"]} == expected and browsed["total"] == len(expected)
    sent = client.post("/v1/search", files={"file": ("a.png", picture("red"))}, data=days)
    asked = client.post("/v1/search", json={"id": "undated"} | days)
    assert {result["id"] for result in sent.json()["results"]} == expected
    assert {result["id"] for result in asked.json()["results"]} == expected - {"undated"}
    reds = len(expected - {"next"})
    counted = {tag["name"]: tag["count"] for tag in client.get("/v1/tags", params=days).json()["tags"]}
    assert counted.get("red", 0) == reds and counted.get("green", 0) == len(expected & {"next"})


def test_dates_and_tags_together(client: ApiClient) -> None:
    days = {"taken_from": "2024-05-01"}
    answer = client.get("/v1/images", params={"tag": "red", "limit": "1", "offset": "1"} | days).json()
    assert ([image["id"] for image in answer["images"]], answer["total"]) == (["may-too"], 2)
    assert client.get("/v1/tags", params={"tag": ["green"]} | days).json()["tags"] == [{"name": "green", "count": 1}]
    assert client.get("/v1/tags", params={"tag": ["green", "red"]}).json()["tags"] == []
    strange = client.get("/v1/tags", params={"tag": "gren"})
    assert (strange.status_code, strange.json()["field"]) == (404, "tag") and "green" in strange.json()["detail"]


@pytest.mark.parametrize(
    ("days", "field"),
    [
        ({"taken_from": "2024-05-02", "taken_to": "2024-05-01"}, "taken_to"),
        ({"taken_from": "20240501"}, "taken_from"),
        ({"taken_from": "1714521600"}, "taken_from"),
        ({"taken_to": "2024-02-30"}, "taken_to"),
        ({"taken_to": "2024-05-01T12:00:00"}, "taken_to"),
    ],
)
def test_wrong_days_are_named(client: ApiClient, days: dict[str, Any], field: str) -> None:
    for answer in (
        client.get("/v1/images", params=days),
        client.get("/v1/tags", params=days),
        client.post("/v1/search", json={"id": "may"} | days),
    ):
        assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
