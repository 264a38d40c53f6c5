"""A typed client of the HTTP API with one pool of connections."""

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast
from urllib.parse import quote

import httpx

from lookalike_client.errors import ApiError, NoAnswer, TryLater, error_of
from lookalike_client.models import (
    Collection,
    Failure,
    Found,
    Image,
    Job,
    Labelled,
    Page,
    Session,
    TagCount,
    from_json,
)

T = TypeVar("T")

ImageFile = bytes | str | Path  # the bytes of an image, or the path of its file
Box = tuple[float, float, float, float]  # x, y, width, height as fractions of the upright image

MAX_WAIT = 30.0  # seconds between two attempts


class Client:
    """A thread-safe client of one service; a `with` block closes its connections.

    If the service is busy, a request is sent up to `attempts` times, after the delay that the service asks for. This
    includes writes: their Idempotency-Key prevents that one is done twice. `transport` is for tests.

        with Client("http://127.0.0.1:8000", key="lk_...") as client:
            for result in client.search("cat.jpg", limit=5).results:
                print(result.score, result.path)
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        key: str | None = None,
        *,
        timeout: float = 60.0,
        attempts: int = 3,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._attempts = attempts
        self._http = httpx.Client(base_url=address, headers=headers, timeout=timeout, transport=transport)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    # ---- search and labels -------------------------------------------------------------------------------------

    def search(
        self,
        image: ImageFile | None = None,
        *,
        url: str | None = None,
        id: str | None = None,
        collection: str | None = None,
        limit: int = 20,
        offset: int = 0,
        min_score: float = -1.0,
        tags: Sequence[str] = (),
        taken_from: date | None = None,
        taken_to: date | None = None,
        box: Box | None = None,
    ) -> Found:
        """Return the images that look most like `image`, the image at `url`, or the indexed image `id`.

        `box` searches for a part of the image. `taken_from` and `taken_to`, both inclusive, restrict the results to
        images taken on these days.

        Raises ApiError, as all methods do: BadRequest, KeyRefused, NotFound, ImageRefused, UrlRefused, Conflict,
        TryLater or NoAnswer.
        """
        values: dict[str, Any] = {"url": url, "id": id, "collection": collection, "limit": limit, "offset": offset}
        values |= {"min_score": min_score, "tags": list(tags), "box": list(box) if box else None}
        values |= _days(taken_from, taken_to)
        return from_json(Found, self._send("POST", "/v1/search", image, values))

    def search_many(self, queries: Sequence[dict[str, Any]]) -> list[Found | ApiError]:
        """Return the answer or error of up to 32 searches, each a dict of `search`'s keywords with `url` or `id`."""
        answers = self._send("POST", "/v1/search/batch", None, {"queries": list(queries)})["answers"]
        return [error_of(answer["error"], 0) if "error" in answer else from_json(Found, answer) for answer in answers]

    def labels(self, image: ImageFile, *, limit: int = 5, min_confidence: float = 0.0) -> Labelled:
        """Return the labels of an image."""
        values = {"limit": limit, "min_confidence": min_confidence}
        return from_json(Labelled, self._send("POST", "/v1/tags", image, values)["images"][0])

    def labels_of_urls(
        self, urls: Sequence[str], *, limit: int = 5, min_confidence: float = 0.0
    ) -> list[Labelled | ApiError]:
        """Return the labels or the error of each of up to 32 images."""
        values = {"urls": list(urls), "limit": limit, "min_confidence": min_confidence}
        images = self._send("POST", "/v1/tags", None, values)["images"]
        return [error_of(image["error"], 0) if "error" in image else from_json(Labelled, image) for image in images]

    def preview(
        self,
        image: ImageFile | None = None,
        *,
        url: str | None = None,
        id: str | None = None,
        collection: str | None = None,
    ) -> bytes:
        """Return a JPEG preview of `image`, `url` or `id`, at most 960 pixels wide and high."""
        values = {"url": url, "id": id, "collection": collection}
        return self._posted("POST", "/v1/preview", image, values).content

    # ---- images ------------------------------------------------------------------------------------------------

    def add(
        self,
        image: ImageFile | None = None,
        *,
        url: str | None = None,
        id: str | None = None,
        collection: str | None = None,
        meta: dict[str, Any] | None = None,
    ) -> Image:
        """Add an image file, or the image at a URL; it replaces an earlier upload with the same id."""
        values = {"url": url, "id": id, "collection": collection, "meta": meta}
        return from_json(Image, self._send("POST", "/v1/images", image, values, once=True))

    def image(self, id: str, collection: str | None = None) -> Image:
        """Return one indexed image."""
        return from_json(Image, self._get(_image_path(id), collection=collection))

    def images(
        self,
        *,
        collection: str | None = None,
        tag: str | None = None,
        taken_from: date | None = None,
        taken_to: date | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> Page[Image]:
        """Return a page of the images in the order of their ids, optionally with a tag or taken on certain days."""
        days = _days(taken_from, taken_to)
        return self._page("/v1/images", "images", Image, offset, limit, collection=collection, tag=tag, **days)

    def all_images(self, *, collection: str | None = None, tag: str | None = None) -> Iterator[Image]:
        """Yield all images, page by page."""
        offset = 0
        while page := self.images(collection=collection, tag=tag, offset=offset, limit=1000):
            yield from page
            offset += len(page)

    def thumbnail(self, id: str, collection: str | None = None) -> bytes:
        """Return a small JPEG of an image, at most 320 pixels wide and high."""
        return self._answer("GET", f"{_image_path(id)}/thumbnail", params=_given(collection=collection)).content

    def file(self, id: str, collection: str | None = None) -> bytes:
        """Return the original file of an image, if it is on the service's machine."""
        return self._answer("GET", f"{_image_path(id)}/file", params=_given(collection=collection)).content

    def remove(self, id: str, collection: str | None = None) -> None:
        """Remove an image from the index."""
        self._answer("DELETE", _image_path(id), params=_given(collection=collection))

    # ---- collections and jobs ----------------------------------------------------------------------------------

    def tags(
        self,
        *,
        collection: str | None = None,
        tags: Sequence[str] = (),
        taken_from: date | None = None,
        taken_to: date | None = None,
        offset: int = 0,
        limit: int = 1000,
    ) -> Page[TagCount]:
        """Return the tags of a collection with their counts, the most frequent first.

        Only images that have all of `tags` and were taken on these days are counted.
        """
        conditions = _days(taken_from, taken_to) | {"tag": list(tags) or None}
        return self._page("/v1/tags", "tags", TagCount, offset, limit, collection=collection, **conditions)

    def collections(self, *, offset: int = 0, limit: int = 100) -> Page[Collection]:
        """Return the collections by name."""
        return self._page("/v1/collections", "collections", Collection, offset, limit)

    def start_job(self, source: str, *, collection: str | None = None, prune: bool = False) -> Job:
        """Start a job that indexes one of the service's libraries."""
        values = {"source": source, "collection": collection, "prune": prune}
        return from_json(Job, self._send("POST", "/v1/jobs", None, values, once=True))

    def job(self, id: str) -> Job:
        """Return the state and progress of a job."""
        return from_json(Job, self._get(_job_path(id)))

    def jobs(self, *, offset: int = 0, limit: int = 100) -> Page[Job]:
        """Return the jobs, the newest first."""
        return self._page("/v1/jobs", "jobs", Job, offset, limit)

    def job_failures(self, id: str, *, offset: int = 0, limit: int = 100) -> Page[Failure]:
        """Return the images that failed in the last run of a job."""
        return self._page(f"{_job_path(id)}/failures", "failures", Failure, offset, limit)

    def cancel_job(self, id: str) -> Job:
        """Cancel a job."""
        return from_json(Job, self._answer("DELETE", _job_path(id)).json())

    def retry_job(self, id: str) -> Job:
        """Run an ended job again."""
        return from_json(Job, self._answer("POST", f"{_job_path(id)}/retry").json())

    def libraries(self) -> list[str]:
        """Return the names of the libraries that a job can index."""
        return [library["name"] for library in self._get("/v1/libraries", limit=1000)["libraries"]]

    def session(self) -> Session:
        """Return how the service identifies this client."""
        return from_json(Session, self._get("/v1/session"))

    # ---- requests ----------------------------------------------------------------------------------------------

    def _page(self, path: str, name: str, kind: type[T], offset: int, limit: int, **parameters: Any) -> Page[T]:
        document = self._get(path, offset=offset, limit=limit, **parameters)
        items = [from_json(kind, item) for item in document[name]]
        return Page(items, document["offset"], document["limit"], document["total"])

    def _get(self, path: str, **parameters: Any) -> dict[str, Any]:
        return cast(dict[str, Any], self._answer("GET", path, params=_given(**parameters)).json())

    def _send(
        self, method: str, path: str, image: ImageFile | None, values: dict[str, Any], once: bool = False
    ) -> dict[str, Any]:
        return cast(dict[str, Any], self._posted(method, path, image, values, once).json())

    def _posted(
        self, method: str, path: str, image: ImageFile | None, values: dict[str, Any], once: bool = False
    ) -> httpx.Response:
        """Send values as JSON, or as a form with an image."""
        given = _given(**values)
        headers = {"Idempotency-Key": uuid.uuid4().hex} if once else {}
        if image is None:
            return self._answer(method, path, json=given, headers=headers)
        name, data = ("", image) if isinstance(image, bytes) else (Path(image).name, Path(image).read_bytes())
        form = {key: _text(key, value) for key, value in given.items()}
        files = {"file": (name or "picture", data)}
        return self._answer(method, path, files=files, data=form, headers=headers)

    def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request until it is answered or no attempt is left."""
        for attempt in range(1, self._attempts + 1):
            try:
                return self._once(method, path, request)
            except TryLater as error:
                if attempt == self._attempts:
                    raise
                time.sleep(min(error.retry_after or 1.0, MAX_WAIT))
        raise ValueError("attempts must be at least 1")

    def _once(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **request)
        except httpx.TransportError as error:
            raise NoAnswer(f"{self._http.base_url} does not answer: {error}") from error
        if answer.is_success:
            return answer
        wait = answer.headers.get("retry-after", "")
        raise error_of(_problem(answer), answer.status_code, float(wait) if wait.isdigit() else None)


def _problem(answer: httpx.Response) -> dict[str, Any]:
    """Return the problem document of an answer, {} if a proxy sent something else."""
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _given(**values: Any) -> dict[str, Any]:
    """Return the values that are neither None nor an empty list."""
    return {name: value for name, value in values.items() if value is not None and value != []}


def _days(taken_from: date | None, taken_to: date | None) -> dict[str, str | None]:
    days = {"taken_from": taken_from, "taken_to": taken_to}
    return {name: day.isoformat() if day else None for name, day in days.items()}


def _text(name: str, value: Any) -> Any:
    """Return a value for a form: a list of tags as several fields, texts unchanged, all else as JSON."""
    return value if name == "tags" or isinstance(value, str) else json.dumps(value)


def _image_path(id: str) -> str:
    return f"/v1/images/{quote(id, safe='')}"


def _job_path(id: str) -> str:
    return f"/v1/jobs/{quote(id, safe='')}"
