"""The cache of opened collections: hits for a second, per name, without a call of the store."""

import pytest
from support.duplicate_rows import MODEL

from embeddings.errors import ModelMismatch, NotFound
from embeddings.models.identity import ModelIdentity
from store.collection_cache import CollectionCache
from store.testing import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.create("photos", MODEL)
    return store


def test_a_collection_is_cached_for_a_second(store: MemoryStore) -> None:
    now = [0.0]
    cache = CollectionCache(store, MODEL, lambda: now[0])
    assert cache.get("photos") is None
    opened = cache.open("photos")
    store.available = False  # so that a call of the store would raise
    now[0] = 0.99
    assert cache.get("photos") is opened and cache.get("other") is None
    now[0] = 1.0
    assert cache.get("photos") is None


def test_a_collection_that_cannot_be_opened_is_not_cached(store: MemoryStore) -> None:
    cache = CollectionCache(store, ModelIdentity("other", "ba9876543210", 3))
    for name, error in (("photos", ModelMismatch), ("nosuch", NotFound)):
        with pytest.raises(error):
            cache.open(name)
        assert cache.get(name) is None
