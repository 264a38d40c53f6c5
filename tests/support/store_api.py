"""The service with the toy model on a real Milvus, and what it must answer whatever becomes of that."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from support.queue_stand import MILVUS_SECONDS
from support.running import running
from support.toy import picture

ANSWER_SECONDS = 10.0  # in which the service answers, Milvus or not
BACK_SECONDS = 120.0
FOUND = 5  # rows of a search


class StoreApi:
    """Asks a service about one collection, which had `rows` when it was last asked.

    An answer that takes too long fails the test.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.rows = 0

    def finds(self) -> bool:
        """Return whether enough rows can be found: those that were written last take a moment."""
        return len(self._search().json()["results"]) == FOUND

    def answers(self) -> bool:
        """Ask everything; return whether all was answered, after making sure that the rest was refused as it must be.

        Rows that were counted once must be counted ever after, and be found.
        """
        tags = self._client.get("/v1/tags")
        search = self._search()
        if self._answered(tags):
            rows = sum(tag["count"] for tag in tags.json()["tags"])
            assert rows >= self.rows
            self.rows = rows
        if self._answered(search):
            results = search.json()["results"]
            assert len(results) == FOUND
            assert all(result["score"] > 0.999 for result in results)
        return tags.is_success and search.is_success

    def refuses(self) -> None:
        """Assert that everything is refused, since Milvus is away."""
        assert not self._answered(self._client.get("/v1/tags"))
        assert not self._answered(self._search())
        assert self._client.get("/health").status_code == 200
        ready = self._client.get("/ready")
        assert ready.status_code == 503 and not ready.json()["checks"]["store"]["ok"]

    def comes_back(self) -> float:
        """Ask until all is answered; return the seconds that it took.

        The service must not call itself ready before; once it may, since the first read can take it too long.
        """
        began, too_early = time.monotonic(), 0
        while True:
            ready = self._client.get("/ready").is_success
            if self.answers():
                break
            too_early += ready
            assert too_early <= 1
            assert time.monotonic() < began + BACK_SECONDS
            time.sleep(0.2)
        assert self._client.get("/ready").is_success
        return time.monotonic() - began

    def _search(self) -> httpx.Response:
        return self._client.post("/v1/search", files={"file": ("red.png", picture("red"))}, params={"limit": FOUND})

    def _answered(self, answer: httpx.Response) -> bool:
        """Return whether this is an answer; if it is none, it must say that and when to ask again."""
        if answer.status_code == 200:
            return True
        assert answer.status_code == 503, answer.text
        assert answer.json()["code"] == "store_unavailable"
        assert int(answer.headers["retry-after"]) > 0
        return False


@contextmanager
def store_api(data: Path, milvus_uri: str, collection: str) -> Iterator[StoreApi]:
    """Run a service on a collection while the context lasts; a traceback in its log fails the test."""
    data.mkdir()
    options = {"milvus_uri": milvus_uri, "milvus_timeout": MILVUS_SECONDS, "collection": collection}
    with (
        running(data, *(f"{name}={value}" for name, value in options.items())) as server,
        httpx.Client(base_url=server.address, timeout=ANSWER_SECONDS) as client,
    ):
        yield StoreApi(client)
