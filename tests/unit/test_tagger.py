"""From logits to labels and tags, worked out by hand."""

import math

import numpy as np
import pytest

from embeddings.models.card import ModelClass
from embeddings.tagging.tag import Tag
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


def logits(*probabilities: float) -> np.ndarray:
    return np.log(np.array(probabilities))


def tags(source: Tagger, *probabilities: float) -> tuple[Tag, ...]:
    (of_one,) = source.tags(np.zeros((1, 2)), logits(*probabilities)[None])
    return of_one


def test_labels_are_the_most_probable_classes_best_first():
    labels = tagger().labels(logits(0.1, 0.5, 0.15, 0.25), limit=2)
    assert [(label.name, label.class_id, label.confidence) for label in labels] == [
        ("beagle", 1, 0.5),
        ("gizmo", 3, 0.25),
    ]


def test_labels_carry_broader_categories_where_the_class_has_some():
    beagle, gizmo = tagger().labels(logits(0.01, 0.58, 0.01, 0.4), limit=2)
    assert "dog" in beagle.categories and "animal" in beagle.categories
    assert gizmo.categories == ()


def test_labels_below_the_minimum_are_left_out():
    labels = tagger().labels(logits(0.1, 0.5, 0.15, 0.25), 5, 0.2)
    assert [label.name for label in labels] == ["beagle", "gizmo"]


def test_a_dog_of_doubtful_breed_is_a_dog():
    confidences = {tag.name: tag.confidence for tag in tags(tagger(), 0.1, 0.4, 0.35, 0.15)}
    assert confidences["dog"] == pytest.approx(0.75)
    assert confidences["animal"] == pytest.approx(0.85)
    assert "beagle" not in confidences and "cat" not in confidences


def test_tags_are_sorted_and_never_above_one():
    nearly_all = tagger(threshold=0.0).tags(np.zeros((1, 2)), np.array([[1.0, 0.7, 0.7000001, -40]], np.float32))[0]
    confidences = [tag.confidence for tag in nearly_all]
    assert confidences == sorted(confidences, reverse=True) and max(confidences) == 1.0


def test_each_image_of_a_batch_has_its_own_tags():
    batch = np.stack([logits(0.97, 0.01, 0.01, 0.01), logits(0.01, 0.01, 0.01, 0.97)])
    cat, gizmo = tagger().tags(np.zeros((2, 2)), batch)
    assert "cat" in {tag.name for tag in cat} and gizmo == (Tag("gizmo", 0.97),)
    assert {tag.source for tag in (*cat, *gizmo)} == {"network"}


def test_vocabulary_holds_names_and_categories():
    assert {"tabby", "cat", "animal", "dog", "beagle", "pug", "gizmo"} <= tagger().vocabulary


def test_confidences_use_the_temperature():
    best, second = tagger(temperature=2.0).labels(np.array([0.0, math.log(9), -50.0, -50.0]), limit=2)
    assert (best.confidence, second.confidence) == (pytest.approx(0.75), pytest.approx(0.25))


def test_without_logits_there_are_no_tags():
    headless = Tagger([], 1.0, 0.2)
    assert headless.labels(None) == () and headless.vocabulary == frozenset()
    assert headless.tags(np.zeros((3, 2)), None) == [(), (), ()]
    assert tagger().tags(np.zeros((2, 2)), None) == [(), ()]
