"""From class probabilities to tags, worked out by hand."""

import math

import numpy as np
import pytest

from embeddings.models.card import ModelClass
from embeddings.tagging.tagger import Tagger

TABBY, BEAGLE, PUG, UNKNOWN = "n02123045", "n02088364", "n02110958", "x01"
CLASSES = [
    ModelClass(TABBY, "tabby"),
    ModelClass(BEAGLE, "beagle"),
    ModelClass(PUG, "pug"),
    ModelClass(UNKNOWN, "gizmo"),
]


def tagger(threshold: float = 0.5, temperature: float = 1.0) -> Tagger:
    return Tagger(CLASSES, temperature, threshold)


def test_labels_are_the_most_probable_classes_best_first():
    labels = tagger().labels(np.array([0.1, 0.5, 0.15, 0.25]), limit=2)
    assert [(label.name, label.class_id, label.confidence) for label in labels] == [
        ("beagle", 1, 0.5),
        ("gizmo", 3, 0.25),
    ]


def test_labels_carry_broader_categories_where_the_class_has_some():
    beagle, gizmo = tagger().labels(np.array([0.0, 0.6, 0.0, 0.4]), limit=2)
    assert "dog" in beagle.categories and "animal" in beagle.categories
    assert gizmo.categories == ()


def test_labels_below_the_minimum_are_left_out():
    assert [label.name for label in tagger().labels(np.array([0.1, 0.5, 0.15, 0.25]), 5, 0.2)] == ["beagle", "gizmo"]


def test_a_dog_of_doubtful_breed_is_a_dog():
    tags = {tag.name: tag.confidence for tag in tagger().tags(np.array([0.1, 0.4, 0.35, 0.15]))}
    assert tags["dog"] == pytest.approx(0.75)
    assert tags["animal"] == pytest.approx(0.85)
    assert "beagle" not in tags and "cat" not in tags


def test_tags_are_sorted_and_never_above_one():
    tags = tagger(threshold=0.0).tags(np.array([0.4, 0.3, 0.3000001, 0.0], dtype=np.float32))
    assert [tag.confidence for tag in tags] == sorted((tag.confidence for tag in tags), reverse=True)
    assert max(tag.confidence for tag in tags) == 1.0


def test_vocabulary_holds_names_and_categories():
    assert {"tabby", "cat", "animal", "dog", "beagle", "pug", "gizmo"} <= tagger().vocabulary


def test_probabilities_use_the_temperature():
    logits = np.array([[0.0, math.log(9), -50.0, -50.0]])
    assert tagger(temperature=2.0).probabilities(logits)[0, 1] == pytest.approx(0.75)


def test_a_headless_model_has_no_tags():
    headless = Tagger([], 1.0, 0.2)
    nothing = np.empty(0, np.float32)
    assert headless.labels(nothing) == () and headless.tags(nothing) == () and headless.vocabulary == frozenset()
