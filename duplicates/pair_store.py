"""Stores the compared pairs of a collection in an SQLite file, so that the next scan only looks at changes.

All of it can be computed again. It goes by contents, not by rows: a renamed file changes nothing, and files with the
same bytes are compared once.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from duplicates.candidates import Members, Pair
from duplicates.evidence import Evidence
from duplicates.pixel_match import SIDE
from embeddings.models.identity import ModelIdentity
from store.sqlite import Database

# `content` is a file's bytes, `picture` a row of the collection that has them, `cell` a content in a pivot's bucket.
# `placed` tells whether a content is in its buckets, `compared` whether it was compared in all of them, `cell.compared`
# whether it was compared in that one. `pair` is two contents that may be alike; `looked` is 0 if their pixels are still
# to be compared, 1 if they were or need not be, 2 if they could not be read, and 3 if that is to be tried again.
SCHEMA = """
CREATE TABLE IF NOT EXISTS content (
    id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, phash INTEGER NOT NULL, vector BLOB NOT NULL,
    placed INTEGER NOT NULL DEFAULT 0, compared INTEGER NOT NULL DEFAULT 0, pixels BLOB);
CREATE INDEX IF NOT EXISTS unplaced ON content (id) WHERE placed = 0;
CREATE TABLE IF NOT EXISTS picture (
    id TEXT PRIMARY KEY, content INTEGER NOT NULL REFERENCES content ON DELETE CASCADE) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS copies ON picture (content);
CREATE TABLE IF NOT EXISTS cell (
    pivot INTEGER NOT NULL, content INTEGER NOT NULL REFERENCES content ON DELETE CASCADE, compared INTEGER NOT NULL,
    PRIMARY KEY (pivot, content)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cells_of ON cell (content);
CREATE INDEX IF NOT EXISTS uncompared ON cell (pivot) WHERE compared = 0;
CREATE TABLE IF NOT EXISTS pair (
    first INTEGER NOT NULL REFERENCES content ON DELETE CASCADE,
    second INTEGER NOT NULL REFERENCES content ON DELETE CASCADE,
    distance INTEGER NOT NULL, mirrored INTEGER NOT NULL, score REAL NOT NULL,
    agreement REAL, looked INTEGER NOT NULL,
    PRIMARY KEY (first, second)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pairs_of ON pair (second);
CREATE INDEX IF NOT EXISTS unlooked ON pair (first) WHERE looked % 3 = 0;
CREATE TABLE IF NOT EXISTS pivot (number INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID
"""

MEMBERS_BATCH = 4096  # vectors of a bucket in memory at a time


@dataclass(frozen=True)
class NewContent:
    """A new content: its hash, perceptual hash and vector (float32, length one)."""

    content_hash: str
    phash: int
    vector: np.ndarray


@dataclass(frozen=True)
class PairSnapshot:
    """The input of clustering: contents' hashes, the ids of each content's images, and the evidence for pairs."""

    hashes: dict[int, str]
    images: dict[int, list[str]]
    pairs: dict[tuple[int, int], Evidence]


class PairStore(Database):
    """The file of one collection with the vectors of one model."""

    def __init__(self, folder: Path, collection: str, model: ModelIdentity) -> None:
        """Open the file in `folder`. Raises DiskFull or StoreUnavailable."""
        super().__init__(folder / f"{collection}_{model.fingerprint}.sqlite3", SCHEMA, precious=False)

    def images(self) -> dict[str, str]:
        """Return the content hash of every image, by its id."""
        with self.reading() as cursor:
            return dict(cursor.execute("SELECT picture.id, hash FROM picture JOIN content ON content.id = content"))

    def content_count(self) -> int:
        """Return the number of contents."""
        with self.reading() as cursor:
            return _number(cursor, "SELECT count(*) FROM content")

    def add(self, contents: Iterable[NewContent], images: Iterable[tuple[str, str]]) -> None:
        """Write contents, then images as (id, content hash); images of unknown contents are left out."""
        with self.transaction() as cursor:
            cursor.executemany(
                "INSERT OR IGNORE INTO content (hash, phash, vector) VALUES (?, ?, ?)",
                [(c.content_hash, _signed(c.phash), c.vector.astype(np.float16).tobytes()) for c in contents],
            )
            cursor.executemany("INSERT OR REPLACE INTO picture SELECT ?, id FROM content WHERE hash = ?", list(images))

    def remove(self, ids: Sequence[str]) -> None:
        """Remove images."""
        with self.transaction() as cursor:
            cursor.executemany("DELETE FROM picture WHERE id = ?", [(id_,) for id_ in ids])

    def prune(self) -> None:
        """Remove contents without images, and their pairs."""
        with self.transaction() as cursor:
            cursor.execute("DELETE FROM content WHERE id NOT IN (SELECT content FROM picture)")

    def existing(self, hashes: Sequence[str]) -> set[str]:
        """Return those of the content hashes that are stored."""
        with self.reading() as cursor:
            query = "SELECT hash FROM content WHERE hash IN (SELECT value FROM json_each(?))"
            return {content_hash for (content_hash,) in cursor.execute(query, (json.dumps(list(hashes)),))}

    def pivots(self) -> np.ndarray:
        """Return the pivots, float32 [n, dimension]; [0, 0] if none were chosen."""
        with self.reading() as cursor:
            blobs = [blob for (blob,) in cursor.execute("SELECT vector FROM pivot ORDER BY number")]
        return _vectors(blobs)

    def choose_pivots(self, count: int) -> None:
        """Choose the first `count` contents by hash, a sample as good as random, and empty all buckets."""
        with self.transaction() as cursor:
            cursor.execute("DELETE FROM pivot")
            cursor.execute("DELETE FROM cell")
            cursor.execute("UPDATE content SET placed = 0")
            cursor.execute("INSERT INTO pivot SELECT NULL, vector FROM content ORDER BY hash LIMIT ?", (count,))

    def unassigned(self, limit: int) -> tuple[list[int], np.ndarray]:
        """Return some contents that are in no bucket yet, and their vectors."""
        with self.reading() as cursor:
            query = "SELECT id, vector FROM content WHERE placed = 0 LIMIT ?"
            rows = cursor.execute(query, (limit,)).fetchall()
        return [id_ for id_, _ in rows], _vectors([blob for _, blob in rows])

    def assign(self, ids: Sequence[int], buckets: np.ndarray) -> None:
        """Put contents into their buckets, int [n, buckets of each]."""
        rows = [(int(bucket), id_, id_) for id_, numbers in zip(ids, buckets, strict=True) for bucket in numbers]
        with self.transaction() as cursor:
            cursor.executemany(
                "INSERT OR REPLACE INTO cell SELECT ?, ?, compared FROM content WHERE id = ?",
                rows,
            )
            cursor.executemany("UPDATE content SET placed = 1 WHERE id = ?", [(id_,) for id_ in ids])

    def uncompared(self) -> list[int]:
        """Return the buckets with contents that are still to be compared."""
        with self.reading() as cursor:
            return [pivot for (pivot,) in cursor.execute("SELECT DISTINCT pivot FROM cell WHERE compared = 0")]

    def members(self, bucket: int, new: bool) -> Iterator[Members]:
        """Yield the contents of a bucket, or only those still to be compared, in parts of a bounded size."""
        last = -1
        query = (
            "SELECT id, phash, vector FROM cell JOIN content ON content.id = content "
            "WHERE pivot = ? AND content > ? AND (? OR cell.compared = 0) ORDER BY content LIMIT ?"
        )
        while True:
            with self.reading() as cursor:
                rows = cursor.execute(query, (bucket, last, not new, MEMBERS_BATCH)).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            ids, hashes = np.array([(id_, phash) for id_, phash, _ in rows], np.int64).T
            yield Members(ids, np.ascontiguousarray(hashes).view(np.uint64), _vectors([blob for *_, blob in rows]))

    def add_pairs(self, pairs: Iterable[tuple[Pair, bool]]) -> None:
        """Write pairs that may be alike, each with whether its pixels are to be compared."""
        with self.transaction() as cursor:
            cursor.executemany(
                "INSERT OR IGNORE INTO pair VALUES (?, ?, ?, ?, ?, NULL, ?)",
                [(p.first, p.second, p.distance, p.mirrored, p.score, not verify) for p, verify in pairs],
            )

    def mark_compared(self, bucket: int) -> None:
        """Record that all contents of a bucket were compared."""
        with self.transaction() as cursor:
            cursor.execute("UPDATE cell SET compared = 1 WHERE pivot = ? AND compared = 0", (bucket,))

    def mark_all_compared(self) -> None:
        """Record that every content was compared in all its buckets."""
        with self.transaction() as cursor:
            cursor.execute("UPDATE content SET compared = 1 WHERE compared = 0")

    def unverified(self, limit: int) -> list[tuple[int, int, bool]]:
        """Return some pairs whose pixels are to be compared: (first, second, mirrored)."""
        with self.reading() as cursor:
            rows = cursor.execute("SELECT first, second, mirrored FROM pair WHERE looked % 3 = 0 LIMIT ?", (limit,))
            return [(first, second, bool(mirrored)) for first, second, mirrored in rows]

    def unverified_count(self) -> int:
        """Return the number of pairs whose pixels are to be compared."""
        with self.reading() as cursor:
            return _number(cursor, "SELECT count(*) FROM pair WHERE looked % 3 = 0")

    def retry_unreadable(self) -> None:
        """Mark pairs whose pixels could not be read as unverified: their files may be readable now."""
        with self.transaction() as cursor:
            cursor.execute("UPDATE pair SET looked = 3 WHERE looked = 2")

    def thumbnails(self, contents: Sequence[int]) -> dict[int, np.ndarray]:
        """Return the stored grey thumbnails of contents, uint8 [SIDE, SIDE]."""
        query = "SELECT id, pixels FROM content WHERE pixels NOT NULL AND id IN (SELECT value FROM json_each(?))"
        with self.reading() as cursor:
            rows = cursor.execute(query, (json.dumps(list(contents)),)).fetchall()
        return {id_: np.frombuffer(blob, np.uint8).reshape(SIDE, SIDE) for id_, blob in rows}

    def keep_thumbnails(self, thumbnails: dict[int, np.ndarray]) -> None:
        """Store grey thumbnails."""
        with self.transaction() as cursor:
            cursor.executemany(
                "UPDATE content SET pixels = ? WHERE id = ?", [(p.tobytes(), id_) for id_, p in thumbnails.items()]
            )

    def record_verified(self, pairs: Iterable[tuple[int, int, float | None]]) -> None:
        """Write the agreement of the pixels of pairs, None if they could not be read."""
        with self.transaction() as cursor:
            cursor.executemany(
                "UPDATE pair SET agreement = ?, looked = ? WHERE first = ? AND second = ?",
                [(agreed, 2 if agreed is None else 1, first, second) for first, second, agreed in pairs],
            )

    def copies(self, content: int, limit: int) -> list[str]:
        """Return the ids of some images with a content."""
        with self.reading() as cursor:
            query = "SELECT id FROM picture WHERE content = ? ORDER BY id LIMIT ?"
            return [id_ for (id_,) in cursor.execute(query, (content, limit))]

    def completed_at(self) -> datetime | None:
        """Return the end of the last complete scan, in UTC."""
        with self.reading() as cursor:
            row = cursor.execute("SELECT value FROM note WHERE name = 'complete'").fetchone()
        return datetime.fromisoformat(row[0]) if row else None

    def mark_complete(self) -> None:
        """Record that a scan is complete now."""
        with self.transaction() as cursor:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            cursor.execute("INSERT OR REPLACE INTO note VALUES ('complete', ?)", (now,))

    def snapshot(self) -> PairSnapshot:
        """Return all verified pairs and their contents, and the contents with several images."""
        with self.reading() as cursor:
            pairs = {
                (first, second): Evidence(distance, bool(mirrored), score, agreed)
                for first, second, distance, mirrored, score, agreed in cursor.execute(
                    "SELECT first, second, distance, mirrored, score, agreement FROM pair WHERE looked > 0"
                )
            }
            paired = {content for pair in pairs for content in pair}
            images: dict[int, list[str]] = {}
            query = (
                "SELECT content, id FROM picture WHERE content IN "
                "(SELECT content FROM picture GROUP BY content HAVING count(*) > 1 "
                "UNION SELECT value FROM json_each(?)) ORDER BY id"
            )
            for content, id_ in cursor.execute(query, (json.dumps(list(paired)),)):
                images.setdefault(content, []).append(id_)
            query = "SELECT id, hash FROM content WHERE id IN (SELECT value FROM json_each(?))"
            hashes = dict(cursor.execute(query, (json.dumps(list(images)),)))
        return PairSnapshot(hashes, images, pairs)


def _number(cursor: sqlite3.Cursor, query: str) -> int:
    (number,) = cursor.execute(query).fetchone()
    return int(number)


def _signed(phash: int) -> int:
    """Return an unsigned integer of 64 bits as the signed one that SQLite stores."""
    return phash - 2**64 if phash >= 2**63 else phash


def _vectors(blobs: Sequence[bytes]) -> np.ndarray:
    """Return stored float16 vectors as float32 [n, dimension], scaled to length one again."""
    if not blobs:
        return np.empty((0, 0), np.float32)
    vectors = np.stack([np.frombuffer(blob, np.float16) for blob in blobs]).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: np.ndarray = vectors / np.maximum(lengths, 1e-12)
    return scaled
