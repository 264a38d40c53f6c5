"""Names of collections, and what a collection says of its model."""

import pytest

from embeddings.errors import ModelMismatch
from embeddings.models.identity import ModelIdentity
from store.milvus.client import address
from store.milvus.naming import CollectionDescription, check_model, read_description, real_name, write_description
from store.milvus.server_backend import indexes

TOY = ModelIdentity("toy", "0123456789ab", 3)


def test_a_collection_carries_its_model() -> None:
    assert real_name("family", TOY) == "family_0123456789ab"
    assert read_description(write_description(TOY)) == CollectionDescription(TOY, TOY)
    odd = ModelIdentity('resnet50@/path/"w".safetensors', "0123456789ab", 3)
    assert read_description(write_description(odd)) == CollectionDescription(odd, odd)


@pytest.mark.parametrize("text", ["", "my photos", "{}", "[]", '{"lookalike": 2}', '{"lookalike": 1, "model": "x"}'])
def test_other_descriptions_are_not_ours(text: str) -> None:
    assert read_description(text) is None


def test_the_same_fingerprint_is_the_same_model() -> None:
    check_model("family", CollectionDescription(TOY, TOY), ModelIdentity("other name", TOY.fingerprint, 3))


def test_other_weights_of_the_same_model_are_told_apart() -> None:
    with pytest.raises(ModelMismatch, match=r"other weights or settings of toy .*0123456789ab.*ba9876543210"):
        check_model("family", CollectionDescription(TOY, TOY), ModelIdentity("toy", "ba9876543210", 3))


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://localhost:19530", "http://localhost:19530"),
        ("https://user:secret@example.org:443/db?token=secret", "https://example.org:443"),
        ("https://in01.zillizcloud.com", "https://in01.zillizcloud.com"),
    ],
)
def test_an_address_is_shown_without_secrets(uri: str, shown: str) -> None:
    assert address(uri) == shown


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("v2.3.5-lite", ["vector"]),
        ("v2.4.23", ["vector"]),
        ("v2.5.0", ["vector", "tag_keys", "content_hash"]),
        ("2.6.14", ["vector", "tag_keys", "content_hash"]),
        ("v3.0.1", ["vector", "tag_keys", "content_hash"]),
        ("Zilliz Cloud Vector Database(Compatible with Milvus 2.6)", ["vector", "tag_keys", "content_hash"]),
        ("unknown", ["vector", "tag_keys", "content_hash"]),
    ],
)
def test_indexes_are_those_the_server_can_build(version: str, fields: list[str]) -> None:
    assert [index["field_name"] for index in indexes(version)] == fields
