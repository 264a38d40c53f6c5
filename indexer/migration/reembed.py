"""Embeds indexed images again, for rows without another source of their vectors."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from embeddings.embedder import BATCH, Embedder
from embeddings.errors import LookalikeError
from embeddings.settings import Settings
from indexer.pipeline.lister import chunks
from store.base import Store
from store.image_files import ImageFiles
from store.records import Row


class ReEmbedder:
    """Embeds rows from their images; the model is loaded with the first row. A context manager."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._files = ImageFiles(settings.data, settings.max_bytes)
        self._embedder: Embedder | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._embedder is not None:
            self._embedder.close()

    def vectors(self, rows: Sequence[Row]) -> list[np.ndarray | None]:
        """Return the vectors of rows, None if the image cannot be read or has changed. Raises ModelMismatch."""
        if self._embedder is None:
            self._embedder = Embedder(self._settings)
            self._store.open(self._settings.collection, self._embedder.identity)
        return [vector for some in chunks(rows, BATCH) for vector in self._embed(some, self._embedder)]

    def _embed(self, rows: Sequence[Row], embedder: Embedder) -> list[np.ndarray | None]:
        contents = [self._read(row) for row in rows]
        embedded = iter(embedder.embed([data for data in contents if data is not None]))
        results = [None if data is None else next(embedded) for data in contents]
        return [None if result is None or isinstance(result, LookalikeError) else result.vector for result in results]

    def _read(self, row: Row) -> bytes | None:
        try:
            return self._files.read(self._settings.collection, row)
        except LookalikeError:
            return None
