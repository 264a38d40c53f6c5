"""Pairs to groups, without chains: everybody in a group is like the one in its middle.

Joined end to end, pairs make groups whose ends have nothing in common (A like B like C). So a group is a star: one
content and those that make a pair with it. A pair that is cut this way is not lost: it links the groups of its contents
as similar ones.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

from duplicates.evidence import Evidence, Kind
from duplicates.pair_store import PairSnapshot

Node = int
Forbidden = Callable[[Node, Node], bool]


@dataclass(frozen=True)
class Unit:
    """What counts as one picture in a group: contents, the first of them the one that was compared."""

    contents: tuple[int, ...]
    evidence: Evidence | None  # for its being like the group's first unit; None for that one itself


@dataclass(frozen=True)
class Group:
    """Pictures that belong together. `id` comes from their contents: the same group has it in every run."""

    id: str
    kind: Kind
    units: tuple[Unit, ...]

    @property
    def contents(self) -> list[int]:
        """All contents of the group."""
        return [content for unit in self.units for content in unit.contents]


def groups_of(known: PairSnapshot, separate: Callable[[str, str], bool]) -> list[Group]:
    """Return the groups of all kinds, exact ones first, then near and similar ones; in each the largest first.

    `separate` says of two content hashes that they must not come into one near or similar group.
    """

    def apart(first: int, second: int) -> bool:
        return separate(known.hashes[first], known.hashes[second])

    near = {pair: found for pair, found in known.pairs.items() if found.kind is Kind.NEAR and not apart(*pair)}
    stars = _stars(near, known.hashes, apart)
    exact = [
        Group(_name(Kind.EXACT, [known.hashes[content]]), Kind.EXACT, (Unit((content,), None),))
        for content, pictures in known.pictures.items()
        if len(pictures) > 1
    ]
    together = [_group(Kind.NEAR, [(node,) for node in star], near, known.hashes) for star in stars]
    found = [*_largest_first(exact, known), *_largest_first(together, known)]
    return [*found, *_largest_first(_similar(known, stars, apart), known)]


def _similar(known: PairSnapshot, stars: list[list[Node]], apart: Forbidden) -> list[Group]:
    """Return the groups of what only looks alike; each near group counts as one picture in them."""
    star_of = {node: star[0] for star in stars for node in star}
    members = {star[0]: tuple(star) for star in stars}
    links: dict[tuple[Node, Node], Evidence] = {}
    for (first, second), found in known.pairs.items():
        ends = sorted((star_of.get(first, first), star_of.get(second, second)))
        pair = ends[0], ends[1]
        if found.kind is None or pair[0] == pair[1]:
            continue
        if pair not in links or found.score > links[pair].score:
            links[pair] = found

    def units_apart(one: Node, other: Node) -> bool:
        return any(apart(a, b) for a in members.get(one, (one,)) for b in members.get(other, (other,)))

    links = {pair: found for pair, found in links.items() if not units_apart(*pair)}
    groups = _stars(links, known.hashes, units_apart)
    return [_group(Kind.SIMILAR, [members.get(n, (n,)) for n in group], links, known.hashes) for group in groups]


def _stars(
    pairs: Mapping[tuple[Node, Node], Evidence], hashes: Mapping[Node, str], apart: Forbidden
) -> list[list[Node]]:
    """Return groups, each beginning with its middle, the others in the order of their likeness to it.

    Who has most partners is a middle first; of equal ones the content hash decides, so that the answer is always the
    same.
    """
    partners: dict[Node, dict[Node, float]] = defaultdict(dict)
    for (first, second), found in pairs.items():
        partners[first][second] = partners[second][first] = found.score
    taken: set[Node] = set()
    stars = []
    for middle in sorted(partners, key=lambda node: (-len(partners[node]), hashes[node])):
        if middle in taken:
            continue
        star = [middle]
        for node in sorted(partners[middle], key=lambda node: (-partners[middle][node], hashes[node])):
            if node not in taken and not any(apart(node, other) for other in star):
                star.append(node)
        if len(star) > 1:
            taken.update(star)
            stars.append(star)
    return stars


def _group(
    kind: Kind,
    members: list[tuple[Node, ...]],
    pairs: Mapping[tuple[Node, Node], Evidence],
    hashes: Mapping[Node, str],
) -> Group:
    middle = members[0][0]
    units = [
        Unit(some, None if some[0] == middle else pairs[min(middle, some[0]), max(middle, some[0])]) for some in members
    ]
    return Group(_name(kind, [hashes[node] for some in members for node in some]), kind, tuple(units))


def _name(kind: Kind, hashes: list[str]) -> str:
    return f"{kind}-{hashlib.sha256(' '.join(sorted(hashes)).encode()).hexdigest()[:16]}"


def _largest_first(groups: list[Group], known: PairSnapshot) -> list[Group]:
    def size(group: Group) -> int:
        return len(known.pictures[group.contents[0]]) if group.kind is Kind.EXACT else len(group.units)

    return sorted(groups, key=lambda group: (-size(group), group.id))


def pairs_across(parts: list[list[str]]) -> set[frozenset[str]]:
    """Return every two hashes that come from different parts."""
    return {frozenset((a, b)) for one, other in combinations(parts, 2) for a in one for b in other if a != b}
