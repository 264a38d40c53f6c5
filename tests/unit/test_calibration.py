"""Temperatures and calibration errors, worked out by hand."""

import math

import numpy as np
import pytest

from embeddings.tagging.calibration import (
    expected_calibration_error,
    fit_temperature,
    keep_temperature,
    softmax,
    temperature,
)


def test_softmax_by_hand():
    logits = np.array([[0.0, math.log(3)]])
    assert softmax(logits) == pytest.approx(np.array([[0.25, 0.75]]))
    assert softmax(2 * logits, temperature=2.0) == pytest.approx(np.array([[0.25, 0.75]]))


def test_softmax_of_huge_logits_does_not_overflow():
    assert softmax(np.array([[1e4, 0.0]], dtype=np.float32)).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("right, margin", [(3, 2.0), (9, 1.0)])
def test_temperature_makes_confidence_equal_accuracy(right, margin):
    """With one margin everywhere the likelihood peaks where sigmoid(margin / T) is the share that is right."""
    total = right + 1
    logits = np.tile([margin, 0.0], (total, 1))
    classes = np.array([0] * right + [1])
    expected = margin / math.log(right)
    assert fit_temperature(logits, classes) == pytest.approx(expected, rel=2e-3)


def test_calibration_error_by_hand():
    confidences = np.array([0.95, 0.95, 0.55, 0.55])
    right = np.array([True, False, True, True])
    # two bins of half the photos each: |0.95 - 0.5| and |0.55 - 1.0|
    assert expected_calibration_error(confidences, right) == pytest.approx(0.45)


def test_calibration_error_is_zero_where_confidence_equals_accuracy():
    assert expected_calibration_error(np.full(4, 0.75), np.array([True, True, True, False])) == pytest.approx(0.0)


def test_certainty_falls_in_the_last_bin():
    assert expected_calibration_error(np.array([1.0]), np.array([True])) == 0.0


def test_a_fitted_temperature_has_precedence_over_the_shipped_one(tmp_path):
    assert temperature("no such model", tmp_path) == 1.0
    keep_temperature("aaaaaaaaaaaa", 0.7, tmp_path)
    keep_temperature("bbbbbbbbbbbb", 1.3, tmp_path)
    assert temperature("aaaaaaaaaaaa", tmp_path) == 0.7
    assert temperature("bbbbbbbbbbbb", tmp_path) == 1.3
