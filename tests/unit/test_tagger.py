"""From logits to labels and tags, worked out by hand."""

import math

import numpy as np
import pytest

from embeddings.models.card import ModelClass
from embeddings.tagging.open_set import OpenSetGate, keep_gate, open_set_gate
from embeddings.tagging.tag import Tag
from embeddings.tagging.tagger import Tagger

TABBY, BEAGLE, PUG, UNKNOWN = "n02123045", "n02088364", "n02110958", "x01"
CLASSES = [
    ModelClass(TABBY, "tabby"),
    ModelClass(BEAGLE, "beagle"),
    ModelClass(PUG, "pug"),
    ModelClass(UNKNOWN, "gizmo"),
]

VECTOR = np.zeros(2)


def tagger(threshold: float = 0.5, temperature: float = 1.0) -> Tagger:
    return Tagger(CLASSES, temperature, threshold)


def logits(*probabilities: float) -> np.ndarray:
    return np.log(np.array(probabilities))


def tags(source: Tagger, *probabilities: float) -> tuple[Tag, ...]:
    (of_one,) = source.tags(np.zeros((1, 2)), logits(*probabilities)[None])
    return of_one


def test_labels_are_the_most_probable_classes_best_first():
    labels = tagger().labels(VECTOR, logits(0.1, 0.5, 0.15, 0.25), limit=2)
    assert [(label.name, label.class_id, label.confidence) for label in labels] == [
        ("beagle", 1, 0.5),
        ("gizmo", 3, 0.25),
    ]


def test_labels_carry_broader_categories_where_the_class_has_some():
    beagle, gizmo = tagger().labels(VECTOR, logits(0.01, 0.58, 0.01, 0.4), limit=2)
    assert "dog" in beagle.categories and "animal" in beagle.categories
    assert gizmo.categories == ()


def test_labels_below_the_minimum_are_left_out():
    labels = tagger().labels(VECTOR, logits(0.1, 0.5, 0.15, 0.25), 5, 0.2)
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
    best, second = tagger(temperature=2.0).labels(VECTOR, np.array([0.0, math.log(9), -50.0, -50.0]), limit=2)
    assert (best.confidence, second.confidence) == (pytest.approx(0.75), pytest.approx(0.25))


def test_without_logits_there_are_no_tags():
    headless = Tagger([], 1.0, 0.2)
    assert headless.labels(VECTOR, None) == () and headless.vocabulary == frozenset()
    assert headless.tags(np.zeros((3, 2)), None) == [(), (), ()]
    assert tagger().tags(np.zeros((2, 2)), None) == [(), ()]


def test_the_gate_scales_all_confidences_of_an_image_alike():
    """By hand: u = 0.6 * 1 + 0.8 * -1 + 0.2 = 0, best 0.5, log odds 0, offset log 3: the gate is 0.75."""
    gate = OpenSetGate(np.array([1.0, -1.0], np.float32), 0.2, -2.0, 1.0, math.log(3))
    gated = Tagger(CLASSES, 1.0, 0.3, gate)
    vector, of_one = np.array([0.36, 0.64], np.float32), logits(0.5, 0.2, 0.15, 0.15)
    labels = gated.labels(vector, of_one)
    assert [label.confidence for label in labels] == pytest.approx([0.375, 0.15, 0.1125, 0.1125], abs=1e-6)
    tags = {tag.name: tag.confidence for tag in gated.tags(vector[None], of_one[None])[0]}
    assert tags["animal"] == pytest.approx(0.75 * 0.85, abs=1e-4) and tags["cat"] == pytest.approx(0.375, abs=1e-4)
    assert "dog" not in tags


def test_negative_parts_of_a_vector_count_as_nothing():
    gate = OpenSetGate(np.array([1.0, 5.0], np.float32), 0.0, 1.0, 0.0, 0.0)
    assert gate.probabilities(np.array([[0.0, -0.8]]), np.array([0.9])) == pytest.approx([0.5])


def test_certainty_gives_a_finite_gate():
    gate = OpenSetGate(np.zeros(2, np.float32), 0.0, 0.0, 1.0, 0.0)
    certain = gate.probabilities(np.zeros((2, 2)), np.array([1.0, 0.0]))
    assert np.isfinite(certain).all() and certain[0] > 0.999 and certain[1] < 0.001


def test_a_gate_of_the_data_directory_goes_before_the_shipped_one(tmp_path):
    gate = OpenSetGate(np.array([0.5, -0.25], np.float32), 0.1, -0.5, 0.4, -1.5)
    assert open_set_gate("0123456789ab", tmp_path) is None
    keep_gate("0123456789ab", gate, tmp_path)
    kept = open_set_gate("0123456789ab", tmp_path)
    assert kept is not None and kept.row.tolist() == [0.5, -0.25] and kept.by_odds == 0.4
