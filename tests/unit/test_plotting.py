"""Charts show the right bars, and problems are reported before anything is measured."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from cli.plotting import BLUE, check_plot, draw_bars
from embeddings.errors import UsageError


def test_the_last_bar_is_drawn_as_long_as_its_value(tmp_path):
    lengths = {}
    for value in (50, 100):
        path = tmp_path / f"{value}.png"
        draw_bars(path, "a model on an engine", "images/s", [("decoding", 100), ("the whole", value)], "and more")
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        blue = (pixels == ImageColor.getrgb(BLUE)).all(axis=2)
        lengths[value] = np.flatnonzero(blue.any(axis=0)).size
    assert lengths[50] == pytest.approx(lengths[100] / 2, abs=2)


def test_a_chart_that_cannot_be_written_is_refused(tmp_path):
    for path, says in (
        (tmp_path / "chart.jpg", "ends in .png, not chart.jpg"),
        (tmp_path / "none" / "chart.png", "does not exist: create it first"),
        (_made(tmp_path / "folder.png"), "is a folder"),
    ):
        with pytest.raises(UsageError, match=says):
            check_plot(path)
    check_plot(tmp_path / "chart.png")


def test_a_full_device_is_named(tmp_path):
    (tmp_path / "chart.png").symlink_to("/dev/full")
    with pytest.raises(UsageError, match=r"cannot write .*chart\.png: No space left"):
        draw_bars(tmp_path / "chart.png", "title", "images/s", [("a", 1)], "note")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
