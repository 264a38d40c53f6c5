"""Clusters pairs into groups without chains: every member of a group is a partner of its centre.

Pairs joined end to end would make groups whose ends have nothing in common (A like B, B like C). So a group is a star:
a centre and its partners. A pair that this cuts is not lost: it links the groups of its contents as similar ones.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

from duplicates.evidence import Evidence, Kind
from duplicates.pair_store import PairSnapshot

Node = int
Separated = Callable[[Node, Node], bool]


@dataclass(frozen=True)
class Unit:
    """The contents that count as one image in a group; the evidence is about the first of them."""

    contents: tuple[int, ...]
    evidence: Evidence | None  # compared with the group's first unit; None for that unit itself


@dataclass(frozen=True)
class Group:
    """Images that belong together. `id` is a hash of their contents, so the same group has it in every run."""

    id: str
    kind: Kind
    units: tuple[Unit, ...]

    @property
    def contents(self) -> list[int]:
        """All contents of the group."""
        return [content for unit in self.units for content in unit.contents]


def groups_of(snapshot: PairSnapshot, separate: Callable[[str, str], bool]) -> list[Group]:
    """Return the groups of all kinds: exact, then near, then similar ones, and within a kind the largest first.

    `separate` returns whether two content hashes must not share a near or similar group.
    """
    hashes = snapshot.hashes

    def separated(first: Node, second: Node) -> bool:
        return separate(hashes[first], hashes[second])

    near_pairs = {
        pair: evidence
        for pair, evidence in snapshot.pairs.items()
        if evidence.kind is Kind.NEAR and not separated(*pair)
    }
    stars = _stars(near_pairs, hashes, separated)
    exact = [
        Group(_group_id(Kind.EXACT, [hashes[content]]), Kind.EXACT, (Unit((content,), None),))
        for content, images in snapshot.images.items()
        if len(images) > 1
    ]
    near = [_group(Kind.NEAR, [(node,) for node in star], near_pairs, hashes) for star in stars]
    similar = _similar(snapshot, stars, separated)
    return [group for groups in (exact, near, similar) for group in _largest_first(groups, snapshot)]


def _similar(snapshot: PairSnapshot, stars: list[list[Node]], separated: Separated) -> list[Group]:
    """Return the similar groups; each near group counts as one image in them."""
    centre_of = {node: star[0] for star in stars for node in star}
    members = {star[0]: tuple(star) for star in stars}
    links: dict[tuple[Node, Node], Evidence] = {}
    for (first, second), evidence in snapshot.pairs.items():
        ends = sorted((centre_of.get(first, first), centre_of.get(second, second)))
        pair = ends[0], ends[1]
        if evidence.kind is None or pair[0] == pair[1]:
            continue
        if pair not in links or evidence.score > links[pair].score:
            links[pair] = evidence

    def units_separated(first: Node, second: Node) -> bool:
        return any(separated(a, b) for a in members.get(first, (first,)) for b in members.get(second, (second,)))

    links = {pair: evidence for pair, evidence in links.items() if not units_separated(*pair)}
    groups = _stars(links, snapshot.hashes, units_separated)
    return [_group(Kind.SIMILAR, [members.get(n, (n,)) for n in group], links, snapshot.hashes) for group in groups]


def _stars(
    pairs: Mapping[tuple[Node, Node], Evidence], hashes: Mapping[Node, str], separated: Separated
) -> list[list[Node]]:
    """Return groups, each beginning with its centre, followed by its partners by descending score.

    Nodes with more partners become centres first. Ties are broken by content hash, so the result is always the same.
    """
    partners: dict[Node, dict[Node, float]] = defaultdict(dict)
    for (first, second), evidence in pairs.items():
        partners[first][second] = partners[second][first] = evidence.score
    grouped: set[Node] = set()
    stars = []
    for centre in sorted(partners, key=lambda node: (-len(partners[node]), hashes[node])):
        if centre in grouped:
            continue
        star = [centre]
        for node in sorted(partners[centre], key=lambda node: (-partners[centre][node], hashes[node])):
            if node not in grouped and not any(separated(node, other) for other in star):
                star.append(node)
        if len(star) > 1:
            grouped.update(star)
            stars.append(star)
    return stars


def _group(
    kind: Kind,
    members: list[tuple[Node, ...]],
    pairs: Mapping[tuple[Node, Node], Evidence],
    hashes: Mapping[Node, str],
) -> Group:
    centre = members[0][0]
    units = [
        Unit(unit, None if unit[0] == centre else pairs[min(centre, unit[0]), max(centre, unit[0])]) for unit in members
    ]
    return Group(_group_id(kind, [hashes[node] for unit in members for node in unit]), kind, tuple(units))


def _group_id(kind: Kind, hashes: list[str]) -> str:
    return f"{kind}-{hashlib.sha256(' '.join(sorted(hashes)).encode()).hexdigest()[:16]}"


def _largest_first(groups: list[Group], snapshot: PairSnapshot) -> list[Group]:
    def size(group: Group) -> int:
        return len(snapshot.images[group.contents[0]]) if group.kind is Kind.EXACT else len(group.units)

    return sorted(groups, key=lambda group: (-size(group), group.id))


def pairs_across(parts: list[list[str]]) -> set[frozenset[str]]:
    """Return all pairs of hashes from different parts."""
    return {frozenset((a, b)) for left, right in combinations(parts, 2) for a in left for b in right if a != b}
