"""Scans collections for duplicates in the background, one after another, and reports the progress."""

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

_NOT_STARTED = ScanProgress("reading", 0, 0)
CLOCK_NS = 1_000_000_000  # two changes of a file within this time may leave the same timestamp
FRESH_SECONDS = 60.0  # during this time after a scan, `freshen` starts no other


class ScanStatus(StrEnum):
    """The state of a scan."""

    NONE = "none"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def active(self) -> bool:
        """True if the scan is waiting or running."""
        return self in (ScanStatus.QUEUED, ScanStatus.RUNNING)


@dataclass(frozen=True)
class Scan:
    """The scan of a collection; `ended` is by the monotonic clock."""

    state: ScanStatus = ScanStatus.NONE
    progress: ScanProgress = _NOT_STARTED
    error: LookalikeError | None = None
    ended: float = 0.0


@dataclass(frozen=True)
class _Stamp:
    """Identifies the state of the files that a review is read from."""

    fingerprint: str
    times: tuple[int, ...]
    sizes: tuple[int, ...]

    def settled(self, now: int) -> bool:
        """Return whether the last change is so old that another change would show in the timestamps."""
        return now - max(self.times, default=now) > CLOCK_NS


class _Stopped(Exception):
    """The scan was stopped, or the service is closing."""


class Scans(Closing):
    """The scans of one service; a context manager. Methods block, except `of` and `stop`."""

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
        self._reviews: dict[str, tuple[_Stamp, Review]] = {}

    def of(self, name: str) -> Scan:
        """Return the scan of a collection."""
        with self._lock:
            return self._scans.get(name, Scan())

    def start(self, name: str) -> Scan:
        """Start a scan of a collection, unless one is waiting or running. Raises NotFound."""
        collection = self._store.open(name)
        with self._lock:
            if not self._scans.get(name, Scan()).state.active and not self._closed:
                self._stopping.discard(name)
                self._scans[name] = Scan(ScanStatus.QUEUED)
                self._thread.submit(self._run, collection)
            return self._scans.get(name, Scan())

    def freshen(self, name: str) -> Scan:
        """Start a scan unless one is active, ended recently or was stopped. Raises NotFound."""
        scan = self.of(name)
        recent = scan.ended and time.monotonic() - scan.ended < FRESH_SECONDS
        return scan if recent or scan.state is ScanStatus.STOPPED or scan.state.active else self.start(name)

    def stop(self, name: str) -> Scan:
        """Stop the scan of a collection soon; the next scan continues from there."""
        with self._lock:
            if self._scans.get(name, Scan()).state.active:
                self._stopping.add(name)
            return self._scans.get(name, Scan())

    def review(self, name: str) -> Review:
        """Return the groups of a collection found so far. Raises NotFound, StoreUnavailable."""
        collection = self._store.open(name)
        stamp = self._stamp(collection)
        with self._lock:
            cached = self._reviews.get(name)
        if cached and cached[0] == stamp:
            return cached[1]
        began = time.time_ns()
        review = Review(collection, self.folder)
        if stamp.settled(began):
            with self._lock:
                self._reviews[name] = stamp, review
        return review

    def decide(self, name: str, group_id: str, action: Action) -> Decision:
        """Store a decision about a group. Raises NotFound or UsageError."""
        return self.review(name).decide(group_id, action)

    def decisions(self, name: str) -> list[Decision]:
        """Return the decisions about a collection, latest first. Raises NotFound."""
        self._store.open(name)
        with Decisions(self.folder) as decisions:
            return decisions.all(name)

    def undo(self, name: str, group_id: str) -> None:
        """Delete a decision. Raises NotFound."""
        self._store.open(name)
        with Decisions(self.folder) as decisions:
            if not decisions.undo(name, group_id):
                raise NotFound(f"there is no decision about a group {group_id!r} in the collection {name}", field="id")

    def close(self) -> None:
        """Stop the running scan and wait for it."""
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
            listen(_NOT_STARTED)
            scan(collection, self.folder, lambda row: self._image_files.read(name, row), self._decoder, listen)
            self._end(name, ScanStatus.DONE)
        except _Stopped:
            self._end(name, ScanStatus.STOPPED)
        except LookalikeError as error:
            log.error("scanning %s for duplicates failed: %s", name, error.message, exc_info=error)
            self._end(name, ScanStatus.FAILED, error)
        except BaseException:  # a bug: it shows in the log and in answers, and the thread goes on
            log.exception("scanning %s for duplicates failed", name)
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
