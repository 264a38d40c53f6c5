"""The charts of docs/benchmarks.md, drawn from the newest results files.

    python -m benchmarks.plots [--into docs/images]

Needs matplotlib (pip install 'lookalike[plot]'). A chart whose results are not there yet is left out.
"""

import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.reporting import arguments, medians, newest
from cli.plotting import BLUE, DOTS_PER_INCH, GREY

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIZE = (8, 3.2)  # inches
COLOURS = (BLUE, "#d97706", "#3f8f5f", "#8a4fa3", "#b03a48")
MEGA = 1e6


def main() -> None:
    """Draw all charts."""
    asked = arguments(__doc__, into=IMAGES)
    for name, draw in CHARTS.items():
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        try:
            draw(axes)
        except FileNotFoundError as missing:
            print(f"{name}: {missing}", file=sys.stderr)
            continue
        figure.savefig(asked.into / f"benchmark-{name}.png", dpi=DOTS_PER_INCH)


def indexing(axes: Axes) -> None:
    """How many times as fast as others; each is a ratio of its own run."""
    usual = newest("indexing")
    ratios = {"the usual loop, same model": usual["ratio_of_medians"]}
    for name in ("img2vec", "imagededup", "fastdup"):
        peer = newest(f"peers-{name}")
        ratios[f"{name} {peer['peer_version']}"] = peer["ratio_of_medians"]
    bars(axes, ratios, "{:.1f} times", [BLUE] * len(ratios))
    titled(axes, f"Indexing {usual['images']:,} photos: lookalike is so many times as fast as")


def big_photos(axes: Axes) -> None:
    """Photos of cameras, relative to the usual loop."""
    results = newest("big_photos")
    rates = medians(results["images_per_second"])
    names = {
        "usual_loop": "the usual loop",
        "full_size": "lookalike, decoding at full size",
        "lookalike": "lookalike",
    }
    ratios = {shown: rates[name] / rates["usual_loop"] for name, shown in names.items()}
    bars(axes, ratios, "{:.1f}", [GREY, GREY, BLUE])
    sizes = results["megapixels"]
    titled(axes, f"Photos of {sizes[0]:.0f} to {sizes[-1]:.0f} megapixels: relative speed")


def memory(axes: Axes) -> None:
    """Memory of an indexing run over time."""
    stores = {"memory-lite": ("into Milvus Lite", BLUE), "memory-server": ("into a Milvus server", GREY)}
    for name, (shown, colour) in stores.items():
        results = newest(name)
        times, values = zip(*results["samples"], strict=True)
        axes.plot(times, values, color=colour, label=shown)
        axes.axhline(results["loaded_bytes"] / MEGA, color=colour, linestyle="--", label="model loaded, nothing done")
    axes.legend(loc="lower center", ncols=2, frameon=False)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds")
    axes.set_ylabel("MB (PSS)")
    titled(axes, f"Memory while {results['images']:,} pictures are indexed, all processes together")


def compact(axes: Axes) -> None:
    """Time of a query in a full and in a compact collection, one by one and gathered."""
    results = newest("compact")["time"]
    names = {
        "full_one_by_one": "1,280 dimensions, one by one",
        "compact_one_by_one": f"{results['dimension']} dimensions, one by one",
        "full_gathered": f"1,280 dimensions, {results['queries_a_call']} in a call",
        "compact_gathered": f"{results['dimension']} dimensions, {results['queries_a_call']} in a call",
    }
    relative = results["ms_a_query"]["full_one_by_one"]
    ratios = {shown: relative / results["ms_a_query"][name] for name, shown in names.items()}
    bars(axes, ratios, "{:.1f}", [GREY, BLUE, GREY, BLUE])
    title = f"Queries among {results['rows']:,} rows of Milvus Lite: relative speed"
    titled(axes, f"{title}; {results['recall_at_10']:.0%} of the ten nearest found at 128")


def index_parameters(axes: Axes) -> None:
    """Recall by search depth."""
    runs = [newest(f"index_parameters-{rows}")["measured"] for rows in (100_000, 1_000_000)]
    for colour, measured in zip(COLOURS, chain(*runs), strict=False):
        depths = {int(key.split()[1]): value for key, value in measured.items() if key.startswith("ef ")}
        label = f"{measured['rows']:,} rows, {measured['dimension']:,} dimensions"
        recalls = [depths[depth]["recall@10"] for depth in sorted(depths)]
        axes.plot(sorted(depths), recalls, "o-", color=colour, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(depths), [str(depth) for depth in sorted(depths)])
    axes.axvline(64, color=GREY, linestyle=":")
    axes.set_xlabel("ef (lookalike searches with 64 at least)")
    axes.set_ylabel("recall@10")
    axes.legend(frameon=False)
    titled(axes, "HNSW on a Milvus server, M 16, efConstruction 200")


def titled(axes: Axes, text: str) -> None:
    """Put a title at the left edge of the picture."""
    axes.figure.suptitle(text, x=0.01, ha="left", fontsize=11)


def bars(axes: Axes, values: dict[str, float], text: str, colours: list[str]) -> None:
    """Draw horizontal bars, the first on top, each with its value."""
    drawn = axes.barh(list(values), list(values.values()), color=colours)
    axes.bar_label(drawn, [text.format(value) for value in values.values()], padding=4)
    axes.margins(x=0.12)
    axes.invert_yaxis()


CHARTS: dict[str, Callable[[Axes], None]] = {
    "indexing": indexing,
    "big-photos": big_photos,
    "memory": memory,
    "compact": compact,
    "index-parameters": index_parameters,
}

if __name__ == "__main__":
    main()
