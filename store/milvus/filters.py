"""What a query may ask of a row, and how it is written so that a user's text is always taken literally."""

import re
from dataclasses import dataclass
from functools import lru_cache

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9]")
_ENCODED = re.compile(r"-([0-9a-f]+)-")
_EMPTY = "--"
_NOT_STORABLE = re.compile("[\x00\x1a\ud800-\udfff]")
_STORED_ESCAPE = re.compile("\x1a([0-9a-f]{4})")


@dataclass(frozen=True)
class Where:
    """Conditions that all must hold; an empty one is not asked. Tags and texts are as the user wrote them."""

    tags: tuple[str, ...] = ()
    source: str | None = None
    hashes: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    not_id: str | None = None
    taken: tuple[int, int] | None = None  # as rows keep times; the first is in, the second is not

    @property
    def narrow(self) -> bool:
        """Whether few rows may meet the conditions, as an approximate index can miss."""
        return bool(self.tags) or self.taken is not None


def storable(text: str) -> str:
    """Return `text` without what stores cannot keep, such as the lone surrogates of file names that are no UTF-8."""
    if text.isprintable():  # nearly all are, and this is quick to see
        return text
    return _NOT_STORABLE.sub(lambda found: f"\x1a{ord(found[0]):04x}", text)


def as_written(stored: str) -> str:
    """Undo `storable`."""
    if "\x1a" not in stored:
        return stored
    return _STORED_ESCAPE.sub(lambda found: chr(int(found[1], 16)), stored)


def literal(text: str) -> str:
    """Return `text` as a string of Milvus' filter language; only this function may put text into a filter.

    The escapes are those that all engines know; every other character stands for itself.
    """
    return f'"{storable(text).translate(_ESCAPES)}"'


def literals(texts: tuple[str, ...]) -> str:
    """Return a list in the filter language."""
    return f"[{', '.join(literal(text) for text in texts)}]"


@lru_cache(10_000)  # a model knows some thousand names, and every row has a few of them
def tag_key(name: str) -> str:
    """Return a tag's name in letters, digits and hyphens alone, in which no pattern or quote can hide."""
    return _NOT_PLAIN.sub(lambda found: f"-{ord(found[0]):x}-", name) or _EMPTY


def tag_name(key: str) -> str:
    """Undo `tag_key`."""
    return "" if key == _EMPTY else _ENCODED.sub(lambda found: chr(int(found[1], 16)), key)


def expression(where: Where) -> str:
    """Write the conditions in the filter language."""
    parts = [f'array_contains(tag_keys, "{tag_key(name)}")' for name in where.tags]
    if where.source is not None:
        parts.append(f"source == {literal(where.source)}")
    if where.hashes:
        parts.append(f"content_hash in {literals(where.hashes)}")
    if where.ids:
        parts.append(f"id in {literals(where.ids)}")
    if where.not_id is not None:
        parts.append(f"id != {literal(where.not_id)}")
    if where.taken is not None:
        parts.append(f"taken_at >= {where.taken[0]:d} and taken_at < {where.taken[1]:d}")
    return " and ".join(parts)
