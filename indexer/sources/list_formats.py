"""Reads the entries of a list of images, which is CSV, JSON Lines or Parquet, a part at a time."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any

from embeddings.errors import UsageError

NAMES = ("uri", "path")  # of the column with the location of an image; the first that exists is used
COLUMNS = ("id", "meta", "bytes", "modified_at")
MAX_LINE = 1_000_000  # characters
ROWS_AHEAD = 4096
_BUFFER = 1 << 20


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# Strict JSON, without Python's NaN and Infinity; made once, because making it takes longer than using it.
from_json = json.JSONDecoder(parse_constant=_no_number).decode


@dataclass(frozen=True, slots=True)
class Faulty:
    """An entry that cannot be parsed, and the reason."""

    line: int
    reason: str


# Line (row, for Parquet), uri, id, meta, bytes, modified_at: as written in the list, None if missing.
Entry = tuple[int, Any, Any, Any, Any, Any]


def entries(file: Path) -> Iterator[Entry | Faulty]:
    """Yield the entries of a list, in its order and in constant memory.

    Raises UsageError if it cannot be read or has no column with the location of the images.
    """
    suffix = file.suffix.lower()
    try:
        if suffix == ".parquet":
            yield from _parquet(file)
        else:
            # keeps the bytes of a name that is not UTF-8
            with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
                yield from _json_lines(file, lines) if suffix in (".jsonl", ".ndjson") else _csv(file, lines)
    except OSError as error:
        raise UsageError(f"cannot read the list {file}: {error.strerror or error}") from error


def _lines(file: Path, lines: IO[str]) -> Iterator[str]:
    """Yield lines of a bounded length."""
    number = 0
    while line := lines.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE:
            raise UsageError(f"line {number:,} of {file} has {MAX_LINE:,} characters or more: is it a list of images?")
        yield line


def _csv(file: Path, lines: IO[str]) -> Iterator[Entry | Faulty]:
    dialect = "excel-tab" if file.suffix.lower() == ".tsv" else "excel"
    reader = csv.reader(_lines(file, lines), dialect, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
    except csv.Error as error:
        raise UsageError(f"the first line of {file} does not name columns: {error}") from error
    places = [_place(file, header), *(header.index(name) if name in header else -1 for name in COLUMNS)]
    while True:
        try:
            for fields in reader:
                if len(fields) == len(header):
                    uri, id_, meta, size, time = [fields[place] if place >= 0 else None for place in places]
                    yield reader.line_num, uri, id_ or None, meta or None, size or None, time or None
                elif fields:
                    counts = f"it has {len(fields)} fields, and the first line names {len(header)}"
                    yield Faulty(reader.line_num, f"{counts}: put quotes around fields that contain a separator")
            return
        except csv.Error as error:
            yield Faulty(reader.line_num, f"it is not a valid line of CSV: {error}")


def _json_lines(file: Path, lines: IO[str]) -> Iterator[Entry | Faulty]:
    number = 0
    named = False
    for number, line in enumerate(_lines(file, lines), 1):
        if line.isspace():
            continue
        try:
            entry = from_json(line)
        except (ValueError, RecursionError) as error:
            yield Faulty(number, f"it is not JSON: {error}")
            continue
        if not isinstance(entry, dict):
            yield Faulty(number, 'it is not a JSON object like {"uri": "..."}')
            continue
        uri = next((entry[name] for name in NAMES if name in entry), None)
        named = named or uri is not None
        id_, meta, size, time = map(entry.get, COLUMNS)
        yield number, uri, id_, meta, size, time
    if number and not named:
        raise _no_column(file, ())


def _parquet(file: Path) -> Iterator[Entry | Faulty]:
    import pyarrow as pa  # noqa: PLC0415 - large, and only here
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False) as opened:
            names = opened.schema_arrow.names
            wanted = [names[_place(file, names)], *COLUMNS]
            numbers = count(1)
            for batch in opened.iter_batches(ROWS_AHEAD, columns=[name for name in wanted if name in names]):
                columns = [_values(batch.column(name)) if name in names else [None] * len(batch) for name in wanted]
                for uri, id_, meta, size, time in zip(*columns, strict=True):
                    yield next(numbers), uri, id_, meta, size, time
    except pa.ArrowException as error:
        raise UsageError(f"cannot read the list {file}: {str(error).splitlines()[0]}") from error


def _values(column: Any) -> list[Any]:
    """Return a column's values, times as nanoseconds."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("ns")).cast(pa.int64())
    return list(column.to_pylist())


def _place(file: Path, header: Sequence[str]) -> int:
    """Return the position of the column with the location of the images."""
    for name in NAMES:
        if name in header:
            return header.index(name)
    raise _no_column(file, header)


def _no_column(file: Path, header: Sequence[str]) -> UsageError:
    columns = f"; it has {', '.join(header)[:200]}" if header else ""
    return UsageError(f"the list {file} has no column 'uri' (or 'path') that says where the images are{columns}")
