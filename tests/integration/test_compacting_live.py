"""A collection on a real server made compact and full again while another process's connection writes and searches."""

import threading
from pathlib import Path

import numpy as np
import pytest
from support.store_engines import MODEL, row

from indexer.migration.compact import Compaction
from indexer.migration.restore import Restore
from store import open_store
from store.base import Store

VECTORS = np.random.default_rng(0).standard_normal((2_000, 3)).astype(np.float32)
FIRST = 500


class Busy:
    """Writes, removes and searches in a thread until it is stopped; `written` are the ids that must be there."""

    def __init__(self, store: Store) -> None:
        self.written = {f"{n:04}" for n in range(FIRST)}
        self.errors: list[BaseException] = []
        self.answers: set[int] = set()
        self._store = store
        self._next = FIRST
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        long = self._store.open("live", MODEL)  # as one run of indexing holds it
        try:
            while not self._stop.is_set() and self._next < len(VECTORS):
                number, self._next = self._next, self._next + 1
                one = row(f"{number:04}", VECTORS[number].tolist())
                (long if number % 2 else self._store.open("live", MODEL)).upsert([one])
                self.written.add(one.id)
                if number % 3 == 0:
                    gone = f"{number - FIRST:04}"
                    long.delete([gone])
                    self.written.discard(gone)
                (hits,) = self._store.open("live", MODEL).search(VECTORS[number : number + 1], 5)
                self.answers.add(len(hits))
        except BaseException as error:
            self.errors.append(error)


@pytest.mark.slow
def test_nothing_is_lost_and_no_search_fails(milvus_uri: str) -> None:
    with open_store(milvus_uri, "", Path(), 30.0) as store, open_store(milvus_uri, "", Path(), 30.0) as other:
        store.create("live", MODEL).upsert([row(f"{n:04}", VECTORS[n].tolist()) for n in range(FIRST)])
        busy = Busy(other)
        try:
            task = Compaction(store, "live", 2, lambda *_: None)
            task.build()
            task.switch()
            compact = store.open("live", MODEL)
            assert compact.model.dimension == 2
        finally:
            busy.stop()
        assert busy.errors == [] and busy.answers == {5}
        assert {known.id for known in compact.known()} == busy.written
        back = Restore(store, "live", lambda rows: [VECTORS[int(one.id)] for one in rows], lambda *_: None)
        back.prepare()
        back.switch()
        full = store.open("live", MODEL)
        assert full.model == MODEL and {known.id for known in full.known()} == busy.written
        store.drop("live")
