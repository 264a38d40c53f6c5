import mmap
import os
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from embeddings.decode_pool.shared_memory import SIZE, ResponseBuffer, make_shared


@pytest.fixture
def sides() -> Iterator[tuple[ResponseBuffer, ResponseBuffer]]:
    descriptor = make_shared()
    theirs, ours = ResponseBuffer(os.dup(descriptor)), ResponseBuffer(descriptor)
    yield theirs, ours
    theirs.close()
    ours.close()


def test_arrays_arrive_and_the_message_stays_small(sides: tuple[ResponseBuffer, ResponseBuffer]):
    theirs, ours = sides
    answer = [
        np.arange(100_000, dtype=np.uint32).reshape(100, 1000),
        "text",
        np.zeros(0),
        np.ones((3, 5))[:, ::2],
        None,
    ]
    message = theirs.write(answer)
    assert len(message) < 2000
    found = ours.read(message)
    assert found[1] == "text"
    assert found[4] is None
    for i in (0, 2, 3):
        assert np.array_equal(found[i], answer[i])


def test_an_answer_outlives_the_next_one(sides: tuple[ResponseBuffer, ResponseBuffer]):
    theirs, ours = sides
    first = ours.read(theirs.write(np.full(1000, 1)))
    ours.read(theirs.write(np.full(1000, 2)))
    assert (first == 1).all()


def test_arrays_beyond_the_memory_go_in_the_message(sides: tuple[ResponseBuffer, ResponseBuffer]):
    theirs, ours = sides
    sizes = (SIZE, 1, SIZE - 1, SIZE + 1)
    found = ours.read(theirs.write([np.full(size, i, np.uint8) for i, size in enumerate(sizes)]))
    assert [(len(array), set(array.tolist())) for array in found] == [(size, {i}) for i, size in enumerate(sizes)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can forbid it")
def test_no_process_can_shrink_the_memory():
    descriptor = make_shared()
    with pytest.raises(PermissionError):
        os.truncate(descriptor, 0)
    os.close(descriptor)


def test_a_descriptor_that_cannot_be_mapped_is_closed():
    reading, writing = os.pipe()
    os.close(writing)
    with pytest.raises((OSError, ValueError, mmap.error)):
        ResponseBuffer(reading)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)
