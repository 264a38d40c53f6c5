"""The broader categories of the ImageNet-1k classes."""

import csv
from collections import Counter
from importlib.resources import files

import pytest

with (files("embeddings") / "data" / "imagenet_categories.csv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))
CATEGORIES = [row["categories"].split("|") for row in ROWS]


def test_every_class_has_one_to_three_categories():
    assert {len(names) for names in CATEGORIES} <= {1, 2, 3}
    assert all(len(set(names)) == len(names) for names in CATEGORIES)
    assert all(name == name.strip().lower() and name for names in CATEGORIES for name in names)


def test_names_are_unique_and_not_their_own_category():
    assert max(Counter(row["name"] for row in ROWS).values()) == 1
    assert not [row["name"] for row, names in zip(ROWS, CATEGORIES, strict=True) if row["name"] in names]


@pytest.mark.parametrize(
    "classes, category",
    [
        (range(151, 269), "dog"),
        (range(281, 286), "cat"),
        ([*range(7, 25), *range(80, 101), *range(127, 147)], "bird"),
        (range(0, 398), "animal"),
        (range(52, 69), "snake"),
        (range(286, 294), "wild animal"),
        (range(948, 958), "fruit"),
        (range(924, 966), "food"),
    ],
)
def test_runs_of_classes_share_a_category(classes, category):
    without = [ROWS[i]["name"] for i in classes if category not in CATEGORIES[i]]
    allowed = {
        "food": {"cup (drink)", "espresso", "red wine", "eggnog", "hay", "cardoon", "mushroom"},
        "animal": {"trilobite"},
    }.get(category, set())
    assert set(without) <= allowed


@pytest.mark.parametrize(
    "name, expected",
    [
        ("tabby", {"cat", "animal"}),
        ("tiger cat", {"cat"}),
        ("Cardigan Welsh corgi", {"dog", "animal"}),
        ("cardigan", {"clothing"}),
        ("crane (bird)", {"bird", "animal"}),
        ("drake", {"duck", "bird"}),
        ("goldfish", {"fish", "animal"}),
        ("great white shark", {"shark", "animal"}),
        ("monarch", {"butterfly", "insect"}),
        ("convertible", {"car", "vehicle"}),
        ("fire engine", {"truck", "vehicle"}),
        ("mountain bike", {"bicycle", "vehicle"}),
        ("church", {"place of worship", "building"}),
        ("espresso", {"coffee", "drink"}),
        ("Granny Smith", {"fruit", "food"}),
        ("broccoli", {"vegetable", "food"}),
        ("volcano", {"mountain", "landscape"}),
        ("seashore", {"landscape"}),
        ("violin", {"string instrument", "musical instrument"}),
        ("desktop computer", {"computer", "electronics"}),
        ("computer mouse", {"electronics"}),
        ("sombrero", {"hat", "clothing"}),
        ("ballplayer", {"person", "sport"}),
        ("daisy", {"flower", "plant"}),
    ],
)
def test_categories_of_examples(name, expected):
    found = {row["name"]: set(names) for row, names in zip(ROWS, CATEGORIES, strict=True)}
    assert expected <= found.get(name, set())
