"""The fields of rows in an engine: their names and sizes, and the conversion of rows to records and back."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import lru_cache
from itertools import starmap
from typing import Any

import numpy as np
import orjson

from embeddings.errors import UsageError
from embeddings.tagging.tag import Tag
from store.milvus.filters import as_written, storable, tag_key
from store.projection import normalised
from store.records import IndexedFile, Row, TimeRange

# VARCHAR fields and the maximum bytes of UTF-8 in each; 65,535 is the maximum of the engines
TEXTS = {"id": 512, "source": 8192, "path": 16384, "content_hash": 128, "tags": 65535, "meta": 65535}
NUMBERS = ("phash", "width", "height", "bytes", "taken_at", "modified_at", "indexed_at")
TAG_KEYS = "tag_keys"
TAG_KEY_BYTES = 1024
MAX_TAGS = 256
SCALARS = (*TEXTS, *NUMBERS)
KNOWN = ("id", "source", "path", "bytes", "modified_at", "content_hash")

ROWS_PER_CALL = 1000
BYTES_PER_CALL = 32_000_000  # a call may have 64 MB, and numbers grow in transport

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME = -(2**62)  # the oldest engine has no null
_LAST_TIME = 2**62

# `json.dumps` and `json.loads` take twice as long as these
_to_json = json.JSONEncoder(separators=(",", ":")).encode
_from_json = json.JSONDecoder().raw_decode


class TagKeyType(Enum):
    """The type of the field by which rows are filtered by tag."""

    ARRAY = auto()  # of VARCHAR
    TEXT = auto()  # one VARCHAR, for engines without filters on arrays


@dataclass(frozen=True)
class CollectionSchema:
    """The fields of a collection: texts with their maximum bytes, integers, tag keys and one vector."""

    dimension: int
    tag_keys: TagKeyType
    texts: tuple[tuple[str, int], ...] = tuple(TEXTS.items())
    integers: tuple[str, ...] = NUMBERS


def check_row(row: Row, dimension: int) -> None:
    """Raise UsageError for a row that cannot be stored whole, so that no row is truncated or half written."""
    check_record(row, to_record(row), dimension)


def check_record(row: Row, record: Mapping[str, Any], dimension: int) -> None:
    """Raise UsageError as `check_row` does, for a row whose record exists already."""
    for field, maximum in TEXTS.items():
        if (size := _bytes(record[field])) > maximum:
            raise UsageError(f"the {field} of {row.path!r} has {size:,} bytes; the maximum is {maximum:,}", field=field)
    lengths = [len(key) for key in record[TAG_KEYS]]
    total = sum(lengths) + len(lengths) + 1
    if len(row.tags) > MAX_TAGS or max(lengths, default=0) > TAG_KEY_BYTES or total > TEXTS["tags"]:
        raise UsageError(f"{row.path!r} has too many or too long tags; the maximum is {MAX_TAGS}", field="tags")
    if record["vector"] is None or record["vector"].shape != (dimension,):
        raise UsageError(f"{row.path!r} has no vector of the collection's {dimension} dimensions", field="vector")


def to_record(row: Row) -> dict[str, Any]:
    """Return the values of a row's fields; tag keys are a list without duplicates, the vector is not copied."""
    indexed_at = row.indexed_at - _EPOCH_UTC
    return {
        **_texts(row),
        "phash": row.phash - 2**64 if row.phash >= 2**63 else row.phash,
        "width": row.width,
        "height": row.height,
        "bytes": row.bytes,
        "taken_at": _NO_TIME if row.taken_at is None else _seconds(row.taken_at - _EPOCH),
        "modified_at": row.modified_at,
        "indexed_at": 1_000_000 * _seconds(indexed_at) + indexed_at.microseconds,
        TAG_KEYS: list(dict.fromkeys(tag_key(tag.name) for tag in row.tags)),
        "vector": row.vector,
    }


def from_record(record: Mapping[str, Any]) -> Row:
    """Undo `to_record`; the vector is None if the record has none."""
    vector = record.get("vector")
    taken_at = record["taken_at"]
    return Row(
        id=as_written(record["id"]),
        source=as_written(record["source"]),
        path=as_written(record["path"]),
        content_hash=as_written(record["content_hash"]),
        phash=record["phash"] % 2**64,
        vector=None if vector is None else np.asarray(vector, dtype=np.float32),
        tags=tuple(starmap(Tag, _pairs(record["tags"]))),
        width=record["width"],
        height=record["height"],
        bytes=record["bytes"],
        taken_at=None if taken_at == _NO_TIME else _EPOCH + timedelta(seconds=taken_at),
        modified_at=record["modified_at"],
        indexed_at=_EPOCH_UTC + timedelta(microseconds=record["indexed_at"]),
        meta={} if record["meta"] == "{}" else _from_json(record["meta"])[0],
    )


def seconds_of(span: TimeRange) -> tuple[int, int]:
    """Return a time range as `taken_at` is stored: whole seconds, the first inside it, the second after it."""
    start, end = (None if time is None else _seconds(time - _EPOCH) for time in (span.start, span.end))
    return _NO_TIME + 1 if start is None else start, _LAST_TIME if end is None else end


def to_known(record: Mapping[str, Any]) -> IndexedFile:
    """Return the indexed file of a record."""
    return IndexedFile(
        id=as_written(record["id"]),
        source=as_written(record["source"]),
        path=as_written(record["path"]),
        bytes=record["bytes"],
        modified_at=record["modified_at"],
        content_hash=as_written(record["content_hash"]),
    )


def normalise(records: Sequence[dict[str, Any]]) -> None:
    """Scale the vectors of records to length one, all at once: one by one takes several times as long."""
    for record, vector in zip(records, normalised(np.stack([record["vector"] for record in records])), strict=True):
        record["vector"] = vector


def latest(rows: Sequence[Row]) -> list[Row]:
    """Return the last row of each id: engines differ in their treatment of duplicates within a call."""
    return list({row.id: row for row in rows}.values())


def batches(records: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield records in batches of a size that every engine accepts in one call."""
    batch: list[dict[str, Any]] = []
    size = 0
    for record in records:
        bytes_ = _size(record)
        if batch and (len(batch) == ROWS_PER_CALL or size + bytes_ > BYTES_PER_CALL):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += bytes_
    if batch:
        yield batch


def _texts(row: Row) -> dict[str, str]:
    return {
        "id": storable(row.id),
        "source": storable(row.source),
        "path": storable(row.path),
        "content_hash": storable(row.content_hash),
        "tags": f"[{','.join([_tag(tag) for tag in row.tags])}]",
        "meta": _to_json(row.meta) if row.meta else "{}",
    }


def _tag(tag: Tag) -> str:
    source = "" if tag.source == "network" else f',"{tag.source}"'
    return f"[{_quoted(tag.name)},{round(tag.confidence, 4)}{source}]"


@lru_cache(10_000)  # as for `tag_key`
def _quoted(name: str) -> str:
    return _to_json(name)


def _pairs(tags: str) -> list[tuple[Any, ...]]:
    try:
        pairs: list[tuple[Any, ...]] = orjson.loads(tags)  # in less than half of the time
    except orjson.JSONDecodeError:
        pairs = _from_json(tags)[0]  # a name may have half of a surrogate pair, as a file's name may
    return pairs


def _size(record: Mapping[str, Any]) -> int:
    texts = sum(_bytes(record[field]) for field in TEXTS)
    return texts + sum(map(len, record[TAG_KEYS])) + int(record["vector"].nbytes) + 16 * len(NUMBERS)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _seconds(since: timedelta) -> int:
    """Return whole seconds, rounded down, in a quarter of the time that a division takes."""
    return 86_400 * since.days + since.seconds
