"""What a Milvus must be able to do for the store; the engines differ here, and nowhere above."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from store.milvus.filters import Where
from store.records import Hit


class Backend(Protocol):
    """One Milvus. Collections are named as the engine knows them; tag keys are those of `filters.tag_key`."""

    most_ids: int  # ids that one condition may name
    alias_ttl: float  # those who write ask no more often what their name stands for

    def run(self, method: str, *, timeout_factor: float = 1.0, **arguments: Any) -> Any:
        """Call a method of MilvusClient, with errors of ours."""

    def ready(self, name: str | None = None) -> None:
        """Return if the engine answers and is not loading the collection of this name, or raise StoreUnavailable."""

    def create(self, collection: str, dimension: int, written: str) -> None:
        """Create an empty collection for vectors of `dimension`, with what is `written` of it (see names.py)."""

    def prepare(self, collection: str) -> None:
        """Make an existing collection ready for reading, whatever a crash left undone."""

    def pack_tags(self, keys: list[str]) -> Any:
        """Return the value of the field that tags are found by."""

    def search(self, collection: str, queries: np.ndarray, limit: int, offset: int, where: Where) -> list[list[Hit]]:
        """Return, for each query (float32 [queries, dimension]), a page of the nearest rows that meet the conditions.

        Scores are inner products. An index may miss some.
        """

    def select(
        self, collection: str, fields: list[str], where: Where, strong: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Yield fields of all rows that meet the conditions, tag keys as a list.

        With `strong`, rows that other processes wrote before are among them for certain; our own always are.
        """

    def scan(self, collection: str, fields: list[str]) -> Iterator[dict[str, Any]]:
        """Yield fields of all rows, the vector among them if it is asked for, in parts that are dropped one by one.

        Rows that other processes wrote before are among them for certain.
        """

    def count(self, collection: str, where: Where) -> int:
        """Return the exact number of rows that meet the conditions."""

    def page(self, collection: str, where: Where, offset: int, limit: int) -> list[str]:
        """Return a page of stored ids, in their order."""

    def written(self, collection: str, rows: int) -> None:
        """Take note of rows that were written."""

    def close(self) -> None:
        """Release everything."""
