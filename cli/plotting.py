"""Draws bar charts as PNG files, for `lookalike bench --plot`."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from embeddings.errors import UsageError

BLUE, GREY = "#2f6fb3", "#8a94a0"
DOTS_PER_INCH = 100
MIN_HEIGHT, HEIGHT_PER_BAR = 1.6, 0.42  # inches


def check_plot(path: Path) -> None:
    """Raise UsageError if a chart could not be written to `path`, before anything is measured."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"--plot writes PNG: give a file name that ends in .png, not {path.name}", field="plot")
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} for --plot does not exist: create it first", field="plot")
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give --plot a file name", field="plot")
    if find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib: pip install 'lookalike[plot]'", field="plot")


def draw_bars(path: Path, title: str, axis: str, bars: Sequence[tuple[str, float]], note: str) -> None:
    """Write a chart of horizontal bars with their values, the first on top and the last highlighted.

    Raises UsageError if the file cannot be written or matplotlib does not load.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise UsageError(f"matplotlib does not load ({error}): reinstall it", field="plot") from error
    names, values = [name for name, _ in bars], [value for _, value in bars]
    figure = Figure(figsize=(8, MIN_HEIGHT + HEIGHT_PER_BAR * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    rectangles = axes.barh(names, values, color=[GREY] * (len(bars) - 1) + [BLUE])
    axes.bar_label(rectangles, [f"{value:,.0f}" for value in values], padding=4)
    axes.margins(x=0.12)
    axes.invert_yaxis()
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    axes.set_xlabel(axis)
    figure.supxlabel(note, x=0.01, ha="left", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    try:
        figure.savefig(path, format="png", dpi=DOTS_PER_INCH)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}", field="plot") from error
