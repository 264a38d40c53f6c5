"""Looks for duplicates in the background, one collection after another, and says how far it is."""

import contextlib
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from duplicates.decisions import Action, Decision, Decisions
from duplicates.review import Review
from duplicates.scan import ImageDecoder, ScanProgress, folder_of, scan
from embeddings.errors import LookalikeError, NotFound
from embeddings.utils import Closing
from store.base import Collection, Store
from store.image_files import ImageFiles

log = logging.getLogger(__name__)

_NOTHING = ScanProgress("reading", 0, 0)
CLOCK_NS = 1_000_000_000  # two changes of a file within it may leave the same time
FRESH_SECONDS = 60.0  # for so long nobody looks again unless asked to


class ScanStatus(StrEnum):
    """What became of a scan."""

    NONE = "none"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def active(self) -> bool:
        """Whether it will go on by itself."""
        return self in (ScanStatus.QUEUED, ScanStatus.RUNNING)


@dataclass(frozen=True)
class Scan:
    """How far the scan of a collection is; `ended` is by the monotonic clock."""

    state: ScanStatus = ScanStatus.NONE
    progress: ScanProgress = _NOTHING
    error: LookalikeError | None = None
    ended: float = 0.0


@dataclass(frozen=True)
class _Stamp:
    """What changes whenever the files do from which a catalogue is made."""

    fingerprint: str
    times: tuple[int, ...]
    sizes: tuple[int, ...]

    def settled(self, now: int) -> bool:
        """Return whether the files were left alone for so long that another change would show in their times."""
        return now - max(self.times, default=now) > CLOCK_NS


class _Stopped(Exception):
    """The scan was stopped, or the service is about to end."""


class Scans(Closing):
    """The scans of one service; a context manager. Everything but `of`, `stop` and `close` blocks."""

    def __init__(self, data: Path, store: Store, image_files: ImageFiles, decoder: ImageDecoder) -> None:
        self.folder = folder_of(data)
        self._store = store
        self._image_files = image_files
        self._decoder = decoder
        self._lock = threading.Lock()
        self._scans: dict[str, Scan] = {}
        self._stopping: set[str] = set()
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "duplicates")
        self._catalogues: dict[str, tuple[_Stamp, Review]] = {}

    def of(self, name: str) -> Scan:
        """Return how far a collection's scan is."""
        with self._lock:
            return self._scans.get(name, Scan())

    def start(self, name: str) -> Scan:
        """Begin to bring a collection's duplicates up to date, if that is not under way. Raises NotFound."""
        collection = self._store.open(name)
        with self._lock:
            if not self._scans.get(name, Scan()).state.active and not self._closed:
                self._stopping.discard(name)
                self._scans[name] = Scan(ScanStatus.QUEUED)
                self._thread.submit(self._run, collection)
            return self._scans.get(name, Scan())

    def freshen(self, name: str) -> Scan:
        """Do as `start` where nobody has looked for a while; what was stopped stays so. Raises NotFound."""
        before = self.of(name)
        recent = before.ended and time.monotonic() - before.ended < FRESH_SECONDS
        return before if recent or before.state is ScanStatus.STOPPED or before.state.active else self.start(name)

    def stop(self, name: str) -> Scan:
        """Stop a collection's scan as soon as can be; the next one goes on from there."""
        with self._lock:
            if self._scans.get(name, Scan()).state.active:
                self._stopping.add(name)
            return self._scans.get(name, Scan())

    def review(self, name: str) -> Review:
        """Return the groups of a collection as far as they are known now. Raises NotFound, StoreUnavailable."""
        collection = self._store.open(name)
        stamp = self._stamp(collection)
        with self._lock:
            kept = self._catalogues.get(name)
        if kept and kept[0] == stamp:
            return kept[1]
        began = time.time_ns()
        made = Review(collection, self.folder)
        if stamp.settled(began):
            with self._lock:
                self._catalogues[name] = stamp, made
        return made

    def decide(self, name: str, group_id: str, action: Action) -> Decision:
        """Keep a decision for good. Raises NotFound or UsageError."""
        return self.review(name).decide(group_id, action)

    def decisions(self, name: str) -> list[Decision]:
        """Return the decisions about a collection, the latest first. Raises NotFound."""
        self._store.open(name)
        with Decisions(self.folder) as decisions:
            return decisions.all(name)

    def undo(self, name: str, group_id: str) -> None:
        """Take a decision back. Raises NotFound."""
        self._store.open(name)
        with Decisions(self.folder) as decisions:
            if not decisions.undo(name, group_id):
                raise NotFound(f"nothing was decided about a group {group_id!r} in the collection {name}", field="id")

    def close(self) -> None:
        """Stop what is under way and wait for it."""
        with self._lock:
            self._closed = True
        self._thread.shutdown()

    def _run(self, collection: Collection) -> None:
        name = collection.name

        def listen(progress: ScanProgress) -> None:
            with self._lock:
                if self._closed or name in self._stopping:
                    raise _Stopped
                self._scans[name] = Scan(ScanStatus.RUNNING, progress)

        try:
            listen(_NOTHING)
            scan(collection, self.folder, lambda row: self._image_files.read(name, row), self._decoder, listen)
            self._end(name, ScanStatus.DONE)
        except _Stopped:
            self._end(name, ScanStatus.STOPPED)
        except LookalikeError as error:
            log.error("looking for duplicates in %s failed: %s", name, error.message, exc_info=error)
            self._end(name, ScanStatus.FAILED, error)
        except BaseException:  # a mistake of ours: said in the log and in the answer, and the thread goes on
            log.exception("looking for duplicates in %s failed", name)
            self._end(name, ScanStatus.FAILED, LookalikeError())
            raise

    def _end(self, name: str, state: ScanStatus, error: LookalikeError | None = None) -> None:
        with self._lock:
            last = self._scans.get(name, Scan())
            self._scans[name] = replace(last, state=state, error=error, ended=time.monotonic())

    def _stamp(self, collection: Collection) -> _Stamp:
        stem = f"{collection.name}_{collection.model.fingerprint}.sqlite3"
        times, sizes = [], []
        for file in (stem, f"{stem}-wal", "decisions.sqlite3"):
            with contextlib.suppress(FileNotFoundError):
                state = (self.folder / file).stat()
                times.append(state.st_mtime_ns)
                sizes.append(state.st_size)
        return _Stamp(collection.model.fingerprint, tuple(times), tuple(sizes))
