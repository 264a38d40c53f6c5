"""POST /v1/preview: pictures as browsers can show them; on the toy model."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from support.api_client import ApiClient, api_client
from support.toy import picture


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    with api_client(tmp_path_factory.mktemp("data"), max_bytes=200_000) as client:
        client.add(picture("green", size=(40, 20)), id="green")
        yield client


def shown(answer: httpx.Response) -> Image.Image:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg"), answer.text
    assert answer.headers["cache-control"] == "no-store"
    return Image.open(io.BytesIO(answer.content))


def test_what_browsers_cannot_show_becomes_a_jpeg(client: ApiClient) -> None:
    out = io.BytesIO()
    Image.open(io.BytesIO(picture("red", size=(1400, 700)))).save(out, "TIFF", compression="tiff_deflate")
    made = shown(client.post("/v1/preview", files={"file": ("a.tiff", out.getvalue())}))
    red, green, blue = made.getpixel((10, 10))
    assert made.size == (960, 480) and red > 240 and max(green, blue) < 15


def test_an_indexed_picture_and_a_whole_body(client: ApiClient, tmp_path: Path) -> None:
    assert shown(client.post("/v1/preview", json={"id": "green"})).size == (40, 20)
    whole = client.post("/v1/preview", content=picture("red", size=(8, 4)), headers={"Content-Type": "image/png"})
    assert shown(whole).size == (8, 4)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"json": {}}, 422, "invalid_request"),
        ({"json": {"id": "green", "url": "http://a.example/"}}, 422, "invalid_request"),
        ({"json": {"id": "nosuch"}}, 404, "not_found"),
        ({"json": {"id": "green", "collection": "nosuch"}}, 404, "not_found"),
        ({"json": {"url": "http://127.0.0.1/a.png"}}, 422, "url_blocked"),
        ({"files": {"file": ("a.png", b"no picture")}}, 422, "image_undecodable"),
        ({"files": {"file": ("a.png", b"x" * 200_001)}}, 413, "image_too_large"),
        ({"files": {"file": ("a.png", picture("red"))}, "data": {"id": "green"}}, 422, "invalid_request"),
        ({"json": {"id": "green", "side": 20_000}}, 422, "invalid_request"),
    ],
)
def test_refusals(client: ApiClient, request_: dict[str, Any], status: int, code: str) -> None:
    answer = client.post("/v1/preview", **request_)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
