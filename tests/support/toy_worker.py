"""A worker with the toy model and real decode processes: `python -m support.toy_worker [model]`.

TOY_SECONDS is how long its network takes for a batch. The bytes KILL, HANG and EXHAUST are decoded as their names say.
"""

import logging
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future

from embeddings.decode_pool.pool import DecodeLimits, Picture
from embeddings.embedder import Embedding
from embeddings.imaging.decode import Box, DecodedImage
from embeddings.models.identity import ModelIdentity
from embeddings.settings import read_settings
from indexer.queue.worker import run_worker
from store import open_store
from support import misbehaviour
from support.toy import MAX_PIXELS, TOY, ToyEmbedder

MISBEHAVIOUR = {b"KILL": (misbehaviour.crash,), b"HANG": (misbehaviour.hang,), b"EXHAUST": (misbehaviour.take, 2**34)}


class ToyEngine:
    name = "toy"
    device_memory = 0


class WorkingToy(ToyEmbedder):
    """The toy model as a worker has it."""

    engine = ToyEngine()

    def __init__(self, fingerprint: str) -> None:
        super().__init__()
        self.identity = ModelIdentity(TOY.name, fingerprint, TOY.dimension)
        self.pool.close()
        self.pool = misbehaviour.pool(DecodeLimits(10_000_000, MAX_PIXELS, 2.0, 1_000_000_000), 2)  # type: ignore[assignment]
        self._seconds = float(os.environ.get("TOY_SECONDS", "0"))

    def submit(self, picture: Picture, box: Box | None = None) -> Future[DecodedImage]:
        if picture in MISBEHAVIOUR:
            function, *args = MISBEHAVIOUR[picture]
            return misbehaviour.run(self.pool, function, *args)  # type: ignore[arg-type]
        return super().submit(picture, box)

    def finish(self, decoded: Sequence[DecodedImage]) -> list[Embedding]:
        time.sleep(self._seconds)
        return super().finish(decoded)


def main() -> None:
    """Work until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = read_settings()
    fingerprint = sys.argv[1] if len(sys.argv) > 1 else TOY.fingerprint
    store = open_store(settings.milvus_uri, "", settings.data, settings.milvus_timeout)
    with store, WorkingToy(fingerprint) as embedder:
        run_worker(settings, store, embedder, concurrency=2)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
