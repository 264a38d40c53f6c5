"""Listing ahead in a thread."""

import threading

import pytest

from indexer.pipeline.lister import BATCH_SIZE, BATCHES_AHEAD, PrefetchIterator, chunks


def test_chunks():
    assert list(chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(chunks([], 2)) == []


@pytest.mark.parametrize("number", [0, 1, BATCH_SIZE, BATCH_SIZE + 1, 3 * BATCH_SIZE])
def test_everything_comes_in_order(number):
    with PrefetchIterator(range(number)) as ahead:
        assert list(ahead) == list(range(number))
        assert ahead.found == number
        assert list(ahead) == []


def test_what_the_source_raises_is_raised_after_what_it_gave():
    def broken():
        yield from range(BATCH_SIZE)
        raise OSError("gone")

    with PrefetchIterator(broken()) as ahead:
        assert [next(ahead) for _ in range(BATCH_SIZE)] == list(range(BATCH_SIZE))
        with pytest.raises(OSError, match="gone"):
            next(ahead)


def test_it_takes_no_more_than_fits_and_ends_when_it_is_left():
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield taken

    with PrefetchIterator(endless()) as ahead:
        assert next(ahead) == 1
    assert taken <= (BATCHES_AHEAD + 2) * BATCH_SIZE
    assert "list" not in {thread.name for thread in threading.enumerate()}
