"""Candidate pairs within buckets: which vectors are compared, and which pairs are kept."""

import numpy as np
import pytest

from duplicates.candidates import MAX_SIMILAR, Members, Pair, assign_buckets, candidate_pairs, pivots_for


def members(angles: list[float], hashes: list[int] | None = None, first_id: int = 1) -> Members:
    radians = np.deg2rad(angles)
    vectors = np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)
    ids = np.arange(first_id, first_id + len(angles))
    return Members(ids, np.array(hashes or [0] * len(angles), np.uint64), vectors)


def test_pairs_have_distance_and_cosine_and_the_smaller_id_first():
    found = list(candidate_pairs(members([10.0], [0b111], first_id=9), members([0.0, 90.0])))
    assert found == [Pair(1, 9, 3, False, pytest.approx(np.cos(np.deg2rad(10)), abs=1e-6))]


def test_no_content_is_paired_with_itself_or_a_distant_one():
    some = members([0.0, 25.0, 60.0])  # cosines 0.906, 0.819, 0.5
    assert {(pair.first, pair.second) for pair in candidate_pairs(some, some)} == {(1, 2)}


def test_of_many_similar_partners_the_best_are_kept():
    far = 0xFFFF_FFFF_0000_0000  # 32 bits from 0, mirrored or not: similar at most
    angles = [float(angle) / 2 for angle in range(MAX_SIMILAR + 3, 0, -1)]
    found = list(candidate_pairs(members([0.0]), members(angles, [far] * len(angles), first_id=2)))
    assert len(found) == MAX_SIMILAR
    assert [pair.second for pair in found] == list(range(len(angles) + 1, 4, -1))


@pytest.mark.parametrize("count, pivots", [(0, 1), (4096, 1), (4112, 257), (100_000, 1024)])
def test_small_collections_are_one_bucket(count, pivots):
    assert pivots_for(count) == pivots


def test_a_vector_belongs_to_the_buckets_of_its_nearest_pivots():
    pivots = members([0, 10, 20, 30, 90, 100]).vectors
    found = assign_buckets(members([5, 85]).vectors, pivots)
    assert [sorted(some) for some in found.tolist()] == [[0, 1, 2, 3], [2, 3, 4, 5]]
    assert assign_buckets(members([5, 85]).vectors, pivots[:1]).tolist() == [[0], [0]]
