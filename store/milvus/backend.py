"""The interface between the store and an engine of Milvus; engines differ here and nowhere above."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from store.milvus.filters import RowFilter
from store.records import Hit


class Backend(Protocol):
    """One Milvus. Collections go by their real names; tag keys are those of `filters.tag_key`."""

    max_ids: int  # that one condition may list
    alias_ttl: float  # seconds for which a writer relies on what a name stood for

    def run(self, method: str, *, timeout_factor: float = 1.0, **arguments: Any) -> Any:
        """Call a method of MilvusClient; its errors become ours."""

    def ready(self, name: str | None = None) -> None:
        """Return if the engine answers and is not loading this collection. Raises StoreUnavailable."""

    def create(self, collection: str, dimension: int, description: str) -> None:
        """Create an empty collection for vectors of `dimension`, with a description as naming.py writes it."""

    def prepare(self, collection: str) -> None:
        """Make an existing collection ready for reading, including what a crash left undone."""

    def pack_tags(self, keys: list[str]) -> Any:
        """Return the value of the field by which rows are filtered by tag."""

    def search(
        self, collection: str, queries: np.ndarray, limit: int, offset: int, where: RowFilter
    ) -> list[list[Hit]]:
        """Return, for each query (float32 [queries, dimension]), a page of the nearest rows that meet the conditions.

        Scores are inner products. An index may miss some.
        """

    def select(
        self, collection: str, fields: list[str], where: RowFilter, strong: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Yield fields of all rows that meet the conditions; tag keys are a list.

        Rows written by this process are always included, rows written by others before only with `strong`.
        """

    def scan(self, collection: str, fields: list[str]) -> Iterator[dict[str, Any]]:
        """Yield fields of all rows, which may include the vector; memory does not grow with their number.

        Rows that other processes wrote before are included.
        """

    def count(self, collection: str, where: RowFilter) -> int:
        """Return the exact number of rows that meet the conditions."""

    def page(self, collection: str, where: RowFilter, offset: int, limit: int) -> list[str]:
        """Return a page of stored ids, in their order."""

    def written(self, collection: str, rows: int) -> None:
        """Note that rows were written or removed."""

    def close(self) -> None:
        """Release connections and locks."""
