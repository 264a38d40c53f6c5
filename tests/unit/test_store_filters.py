"""Filters: a user's text is always taken literally."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.milvus.filters import RowFilter, as_written, expression, literal, literals, storable, tag_key, tag_name

any_text = st.text(st.characters(codec=None))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", '"plain"'),
        ("", '""'),
        ('say "hi"', r'"say \"hi\""'),
        ("it's", '"it\'s"'),
        ("back\\slash", r'"back\\slash"'),
        ('\\"', r'"\\\""'),
        ("100%_", '"100%_"'),
        ("a\nb\rc\td", r'"a\nb\rc\td"'),
        ('" or 1==1', r'"\" or 1==1"'),
        ("日本 é 😀", '"日本 é 😀"'),
        ("no utf-8: \udcff", '"no utf-8: \x1adcff"'),
    ],
)
def test_a_text_becomes_a_literal(text: str, written: str) -> None:
    assert literal(text) == written


@given(any_text)
def test_a_literal_ends_where_its_text_ends(text: str) -> None:
    body = literal(text)[1:-1]
    assert re.fullmatch(r'(?:[^"\\\n\r\t]|\\["\\nrt])*', body)
    undone = re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r", "t": "\t"}.get(found[1], found[1]), body)
    assert as_written(undone) == text


@given(any_text)
def test_what_is_stored_can_be_stored_and_comes_back(text: str) -> None:
    assert as_written(storable(text).encode().decode()) == text
    assert "\0" not in storable(text)


@given(any_text)
def test_a_tag_key_has_nothing_that_means_something(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9-]+", tag_key(name))
    assert tag_name(tag_key(name)) == name


@given(any_text, any_text)
def test_different_tags_have_different_keys(one: str, other: str) -> None:
    assert (tag_key(one) == tag_key(other)) == (one == other)


def test_tag_keys_can_be_read() -> None:
    assert [tag_key(name) for name in ("tabby", "golden retriever", "50%", "")] == [
        "tabby",
        "golden-20-retriever",
        "50-25-",
        "--",
    ]


def test_conditions_are_joined() -> None:
    where = RowFilter(tags=("a b", "c"), source="/x", hashes=("1", '"'), not_id="i")
    assert expression(where) == (
        'array_contains(tag_keys, "a-20-b") and array_contains(tag_keys, "c") '
        r'and source == "/x" and content_hash in ["1", "\""] and id != "i"'
    )
    assert expression(RowFilter(taken=(-5, 10))) == "taken_at >= -5 and taken_at < 10"
    assert expression(RowFilter()) == ""
    assert literals(()) == "[]"
