"""Groups: stars without chains, kinds apart, decisions kept to."""

from duplicates.clustering import Group, groups_of
from duplicates.evidence import Evidence, Kind
from duplicates.pair_store import PairSnapshot

NEAR = Evidence(2, False, 0.97, 0.999)
SIMILAR = Evidence(30, False, 0.95, None)


def snapshot(pairs: dict[str, Evidence], **copies: int) -> PairSnapshot:
    """Return contents called by single letters; 'AB' is a pair."""
    letters = sorted({letter for pair in pairs for letter in pair} | copies.keys())
    return PairSnapshot(
        hashes={ord(letter): letter for letter in letters},
        images={ord(letter): [f"{letter}{i}" for i in range(copies.get(letter, 1))] for letter in letters},
        pairs={(ord(pair[0]), ord(pair[1])): evidence for pair, evidence in pairs.items()},
    )


def letters(groups: list[Group], kind: Kind) -> list[list[str]]:
    return [["".join(map(chr, unit.contents)) for unit in group.units] for group in groups if group.kind is kind]


def never_separate(first: str, second: str) -> bool:
    return False


def test_the_same_bytes_are_an_exact_group():
    groups = groups_of(snapshot({}, A=3, B=1, C=2), never_separate)
    assert letters(groups, Kind.EXACT) == [["A"], ["C"]] and len(groups) == 2


def test_everybody_in_a_group_is_like_its_middle():
    groups = groups_of(snapshot({"AB": NEAR, "BC": NEAR}), never_separate)
    assert letters(groups, Kind.NEAR) == [["B", "A", "C"]]
    assert [unit.evidence for unit in groups[0].units] == [None, NEAR, NEAR]


def test_a_chain_is_cut_and_its_parts_are_linked_as_similar():
    groups = groups_of(snapshot({"AB": NEAR, "BC": NEAR, "CD": NEAR, "DE": NEAR}), never_separate)
    assert letters(groups, Kind.NEAR) == [["B", "A", "C"], ["D", "E"]]
    assert letters(groups, Kind.SIMILAR) == [["BAC", "DE"]]


def test_similar_groups_take_a_near_group_as_one_picture():
    groups = groups_of(snapshot({"AB": NEAR, "AX": SIMILAR, "BX": SIMILAR}), never_separate)
    assert letters(groups, Kind.NEAR) == [["A", "B"]]
    assert letters(groups, Kind.SIMILAR) == [["AB", "X"]]


def test_what_was_separated_comes_together_no_more_in_any_kind():
    def separate(first: str, second: str) -> bool:
        return {first, second} == {"A", "C"}

    groups = groups_of(snapshot({"AB": NEAR, "BC": NEAR, "AC": SIMILAR}), separate)
    assert letters(groups, Kind.NEAR) == [["B", "A"]] and letters(groups, Kind.SIMILAR) == []


def test_a_group_has_the_same_id_whatever_its_pictures_are_called():
    one, again = (groups_of(snapshot({"AB": NEAR}, A=n), never_separate)[-1].id for n in (1, 3))
    assert one == again and one.startswith("near-")
    assert one != groups_of(snapshot({"AC": NEAR}), never_separate)[0].id


def test_the_largest_groups_come_first():
    groups = groups_of(snapshot({"AB": NEAR, "CD": NEAR, "CE": NEAR}), never_separate)
    assert letters(groups, Kind.NEAR) == [["C", "D", "E"], ["A", "B"]]
