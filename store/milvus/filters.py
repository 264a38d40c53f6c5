"""The conditions of a query, written so that a user's text is always taken literally."""

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
class RowFilter:
    """Conditions that a row must meet, all of them; an empty one does not count. Texts are as the user wrote them."""

    tags: tuple[str, ...] = ()
    source: str | None = None
    hashes: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    not_id: str | None = None
    taken: tuple[int, int] | None = None  # as rows store times: from the first on, before the second

    @property
    def narrow(self) -> bool:
        """True if so few rows may meet the conditions that an approximate index can miss some."""
        return bool(self.tags) or self.taken is not None


def storable(text: str) -> str:
    """Return `text` with escapes for the characters that engines cannot store, such as lone surrogates."""
    if text.isprintable():  # true of nearly all texts, and quickly checked
        return text
    return _NOT_STORABLE.sub(lambda match: f"\x1a{ord(match[0]):04x}", text)


def as_written(stored: str) -> str:
    """Undo `storable`."""
    if "\x1a" not in stored:
        return stored
    return _STORED_ESCAPE.sub(lambda match: chr(int(match[1], 16)), stored)


def literal(text: str) -> str:
    """Return `text` as a string of Milvus' filter language. Only this function may put text into a filter.

    All engines know these escapes; every other character stands for itself.
    """
    return f'"{storable(text).translate(_ESCAPES)}"'


def literals(texts: tuple[str, ...]) -> str:
    """Return a list in the filter language."""
    return f"[{', '.join(literal(text) for text in texts)}]"


@lru_cache(10_000)  # a model has some thousand names, and every row a few of them
def tag_key(name: str) -> str:
    """Return a tag's name in letters, digits and hyphens only, so that it cannot contain a pattern or a quote."""
    return _NOT_PLAIN.sub(lambda match: f"-{ord(match[0]):x}-", name) or _EMPTY


def tag_name(key: str) -> str:
    """Undo `tag_key`."""
    return "" if key == _EMPTY else _ENCODED.sub(lambda match: chr(int(match[1], 16)), key)


def expression(where: RowFilter) -> str:
    """Return the conditions in the filter language."""
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
