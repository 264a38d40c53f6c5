"""A list of images in each of its formats, and its lines that make no sense."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.toy import TOY, ToyEmbedder, picture

from embeddings.errors import FileUnreadable, SourceUnavailable, UsageError
from indexer.pipeline.index_source import index_source
from indexer.sources.base import Reference, Unlistable
from indexer.sources.manifest import Manifest
from store.row_builder import row_id
from store.testing import MemoryStore

NOON = 1_780_228_800_000_000_000  # 2026-05-31 12:00 UTC


def listed(folder: Path, text: str, name: str = "list.csv") -> list[Reference | Unlistable]:
    file = folder / name
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    return list(Manifest(file).references())


def only_fault(folder: Path, text: str, name: str = "list.csv") -> str:
    (item,) = listed(folder, text, name)
    assert isinstance(item, Unlistable), item
    return item.error.message


def test_csv_with_all_columns_in_any_order(tmp_path):
    text = 'ID,colour,uri,bytes,meta,modified_at\nshop:1,red,s3://b/a.jpg,5,"{""sku"": ""x""}",17\n,,s3://b/b.jpg,,,\n'
    assert listed(tmp_path, text) == [
        Reference("s3://b/a.jpg", 5, 17, "shop:1", {"sku": "x"}),
        Reference("s3://b/b.jpg", None, None),
    ]


def test_csv_as_spreadsheets_write_it(tmp_path):
    assert listed(tmp_path, '\ufeffPath\r\n"s3://b/a, b.jpg"\r\n\r\n') == [Reference("s3://b/a, b.jpg", None, None)]


def test_tab_separated(tmp_path):
    (item,) = listed(tmp_path, 'uri\tmeta\ns3://b/a,b.jpg\t{"a": 1}\n', "list.tsv")
    assert item == Reference("s3://b/a,b.jpg", None, None, None, {"a": 1})


def test_json_lines(tmp_path):
    lines = [
        {"uri": "s3://b/a.jpg", "id": 7, "meta": {"sku": "x"}, "bytes": 5, "modified_at": "2026-05-31T12:00:00Z"},
        {"path": "s3://b/b.jpg", "other": [1]},
    ]
    assert listed(tmp_path, "\n".join(map(json.dumps, lines)) + "\n\n", "list.jsonl") == [
        Reference("s3://b/a.jpg", 5, NOON, "7", {"sku": "x"}),
        Reference("s3://b/b.jpg", None, None),
    ]


def test_parquet(tmp_path):
    columns = {
        "uri": ["s3://b/a.jpg", "s3://b/b.jpg", None],
        "id": [1, 2, 3],
        "meta": ['{"sku": "x"}', None, None],
        "bytes": [5, None, None],
        "modified_at": [datetime(2026, 5, 31, 12, tzinfo=UTC), None, None],
    }
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    first, second, third = Manifest(tmp_path / "list.parquet").references()
    assert first == Reference("s3://b/a.jpg", 5, NOON, "1", {"sku": "x"})
    assert second == Reference("s3://b/b.jpg", None, None, "2")
    assert (
        isinstance(third, Unlistable) and "row 3 of list.parquet cannot be used: it has no uri" in third.error.message
    )


def test_parquet_with_meta_of_fields(tmp_path):
    pq.write_table(pa.table({"uri": ["s3://b/a.jpg"], "meta": [{"sku": "x"}]}), tmp_path / "list.parquet")
    (item,) = Manifest(tmp_path / "list.parquet").references()
    assert isinstance(item, Reference) and item.meta == {"sku": "x"}


def test_files_of_this_machine_are_looked_at_unless_the_list_tells(tmp_path):
    file = tmp_path / "my photos" / "a.jpg"
    file.parent.mkdir()
    file.write_bytes(b"here")
    os.utime(file, ns=(0, NOON))
    text = f"uri,bytes\nmy photos/a.jpg,\n{file},\n{file.as_uri()},\nmy photos/a.jpg,9\nmissing.jpg,\n"
    paths = ("my photos/a.jpg", str(file), file.as_uri())
    items = listed(tmp_path, text)
    assert items[:3] == [Reference(path, 4, NOON) for path in paths]
    assert items[3:] == [Reference("my photos/a.jpg", 9, None), Reference("missing.jpg", None, None)]
    source = Manifest(tmp_path / "list.csv")
    assert {source.fetch(path, 100) for path in paths} == {b"here"}
    assert {source.shown(path) for path in paths} == {str(file)}
    assert not source.is_gone("my photos/a.jpg") and source.is_gone("missing.jpg")
    with pytest.raises(FileUnreadable, match="not there any more"):
        source.fetch("missing.jpg", 100)


def test_names_that_are_not_utf_8(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / name).write_bytes(b"here")
    (item,) = listed(tmp_path, f"uri\n{name}\n")
    assert isinstance(item, Reference) and item.bytes == 4 and item.path.encode()
    assert Manifest(tmp_path / "list.csv").fetch(item.path, 100) == b"here"


@pytest.mark.parametrize(
    "line, says",
    [
        (",,,", "it has no uri"),
        ("s3://b/a.jpg,a b,,", "its id must be"),
        (f"s3://b/a.jpg,{'x' * 129},,", "its id must be"),
        ("s3://b/a.jpg,,sku: x,", "its meta is not JSON"),
        ("s3://b/a.jpg,,[1],", "its meta is not a JSON object"),
        ('s3://b/a.jpg,,"{""a"": NaN}",', "its meta is not JSON"),
        ('s3://b/a.jpg,,"{""a"": 1e999}",', "its meta is not JSON"),
        ('s3://b/a.jpg,,"{""a"": ""\\ud800""}",', "its meta is not JSON"),
        (f's3://b/a.jpg,,"{{""a"": ""{"x" * 70_000}""}}",', "its meta takes 70,008 bytes"),
        ("s3://b/a.jpg,,,-1", "its bytes is not a whole number"),
        ("s3://b/a.jpg,,,1.5", "its bytes is not a whole number"),
        ("a,b.jpg,,,", "it has 5 fields, and the first line names 4: put quotes around"),
        ('"s3://b/a.jpg,,,', "not a valid line of CSV"),
        ('"a\nb.jpg",,,', "several lines"),
        ("s3://user:hidden@b/a.jpg,,,", "carries a password or a token"),
        ("az://c/a.jpg?sv=1&sig=hidden,,,", "carries a password or a token"),
        ("https://example.org/a.jpg,,,", "is a web address"),
        ("gopher://b/a.jpg,,,", "gopher:// is not a supported address"),
        ("zip://a.jpg::/etc/x.zip,,,", "zip:// is not a supported address"),
        ("file://server/a.jpg,,,", "a file of another machine"),
        ("x" * 16_385 + ",,,", "more than 16,384 bytes"),
    ],
)
def test_lines_that_make_no_sense(tmp_path, line, says):
    message = only_fault(tmp_path, f"uri,id,meta,bytes\n{line}\n")
    assert says in message and "of list.csv cannot be used" in message
    assert "hidden" not in message


@pytest.mark.parametrize(
    "line, says",
    [
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[1]", "it is not a JSON object"),
        ('{"uri": 1}', "it has no uri"),
        ('{"uri": "s3://b/a.jpg", "id": true}', "its id must be"),
        ('{"uri": "s3://b/a.jpg", "meta": "{"}', "its meta is not JSON"),
        ('{"uri": "s3://b/a.jpg", "modified_at": "yesterday"}', "its modified_at is neither"),
        ('{"uri": "s3://b/a.jpg", "modified_at": 9223372036854775808}', "its modified_at is not a whole number"),
    ],
)
def test_json_lines_that_make_no_sense(tmp_path, line, says):
    items = listed(tmp_path, f'{line}\n{{"uri": "s3://b/b.jpg"}}\n', "list.ndjson")
    assert isinstance(items[0], Unlistable) and says in items[0].error.message
    assert items[0].error.message.startswith("line 1 of list.ndjson")
    assert items[1] == Reference("s3://b/b.jpg", None, None)


def test_an_id_comes_once(tmp_path):
    first, second, third = listed(tmp_path, "uri,id\ns3://b/a.jpg,1\ns3://b/b.jpg,1\ns3://b/c.jpg,2\n")
    assert isinstance(first, Reference) and isinstance(third, Reference)
    assert (
        isinstance(second, Unlistable) and "line 3" in second.error.message and "earlier line" in second.error.message
    )


@pytest.mark.parametrize(
    "name, content, says",
    [
        (
            "list.csv",
            b"file,id\na.jpg,1\n",
            "has no column 'uri' (or 'path') that says where the images are; it has file, id",
        ),
        ("list.csv", b"", "has no column 'uri'"),
        ("list.jsonl", b'{"file": "a.jpg"}\n', "has no column 'uri'"),
        ("list.parquet", b"no parquet", "cannot read the list"),
        ("list.csv", b"uri\n" + b"x" * 1_000_001, "line 2 of .* has 1,000,000 characters or more"),
        ("list.doc", b"uri\n", "its name must end in .csv"),
    ],
)
def test_a_list_that_is_none_is_one_clear_sentence(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=says.replace("(", r"\(").replace(")", r"\)")):
        list(Manifest(tmp_path / name).references())


def test_parquet_without_the_column(tmp_path):
    pq.write_table(pa.table({"file": ["a.jpg"]}), tmp_path / "list.parquet")
    with pytest.raises(UsageError, match="has no column 'uri'"):
        Manifest(tmp_path / "list.parquet")


def test_addresses_are_read_by_whoever_knows_their_scheme(tmp_path):
    (tmp_path / "list.csv").write_text("uri\nhttps://example.org/a.jpg\nmemory://test-manifest/b.jpg\ngs://b/c.jpg\n")
    source = Manifest(tmp_path / "list.csv", {"https": lambda address, most: f"{address} {most}".encode()})
    from fsspec import filesystem

    filesystem("memory").pipe("/test-manifest/b.jpg", b"memory")
    web, memory, google = [item.path for item in source.references()]
    assert source.fetch(web, 9) == b"https://example.org/a.jpg 9"
    assert source.fetch(memory, 3) == b"memo"
    assert not source.is_gone(web)
    with pytest.raises(SourceUnavailable, match=r"reading gs:// needs a library"):
        source.fetch(google, 9)


def test_a_list_becomes_rows_with_ids_and_meta(tmp_path):
    for colour in ("red", "green"):
        (tmp_path / f"{colour}.png").write_bytes(picture(colour))
    (tmp_path / "list.csv").write_text('uri,id,meta\nred.png,shop:1,"{""sku"": 5}"\ngreen.png,,\nmissing.png,,\n,,\n')
    source = Manifest(tmp_path / "list.csv")
    collection = MemoryStore().create("photos", TOY)
    with ToyEmbedder() as embedder:
        first = index_source(source, collection, embedder, 100_000, True, lambda _: None)
        again = index_source(source, collection, embedder, 100_000, True, lambda _: None)
    assert (first.found, first.indexed, first.failed) == (4, 2, 2)
    assert (again.found, again.skipped, again.failed) == (4, 2, 2)
    assert {failure.path for failure in first.failures} == {str(tmp_path / "missing.png"), str(tmp_path / "list.csv")}
    red, green = collection.fetch(["shop:1", row_id(source.name, "green.png")])
    assert (red.path, red.meta, red.source) == ("red.png", {"sku": 5}, str(tmp_path / "list.csv"))
    assert green.meta == {}


def test_no_row_is_pruned_for_a_line_that_nobody_understands(tmp_path):
    for colour in ("red", "green"):
        (tmp_path / f"{colour}.png").write_bytes(picture(colour))
    both = '{"uri": "red.png"}\n{"uri": "green.png"}'
    collection = MemoryStore().create("photos", TOY)
    with ToyEmbedder() as embedder:
        for text, left in ((both, 2), ('{"uri": "s3://b/a"}\n{"uri": "red', 2), ('{"uri": "green.png"}', 1)):
            (tmp_path / "list.jsonl").write_text(text)
            index_source(Manifest(tmp_path / "list.jsonl"), collection, embedder, 100_000, True, lambda _: None)
            assert collection.count() == left


def test_a_row_of_a_list_stays_when_a_folder_has_the_same_picture(tmp_path):
    from indexer.sources.folder import Folder

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "red.png").write_bytes(picture("red"))
    (tmp_path / "list.csv").write_text("uri\nphotos/red.png\n")
    collection = MemoryStore().create("photos", TOY)
    with ToyEmbedder() as embedder:
        for source in (Manifest(tmp_path / "list.csv"), Folder(tmp_path / "photos")):
            index_source(source, collection, embedder, 100_000, True, lambda _: None)
    assert collection.count() == 2
