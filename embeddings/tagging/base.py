"""The interface of all sources of tags."""

from typing import Protocol

import numpy as np

from embeddings.tagging.tag import Tag


class TagSource(Protocol):
    """Gives tags to images; safe to call from several threads.

    Tags depend on nothing but an image's vector and logits, so rows can be tagged again from their stored vectors.
    """

    def tags(self, vectors: np.ndarray, logits: np.ndarray | None) -> list[tuple[Tag, ...]]:
        """Return the tags of each image, best first.

        Takes float32 vectors [n, dimension] and float32 logits [n, classes], which are None for a headless model and
        for stored vectors. A source that needs logits gives no tags without them.
        """
