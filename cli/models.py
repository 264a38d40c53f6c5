"""`lookalike models`: list models with size, dimension, accuracy, and speed on this machine."""

import csv
import json
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from huggingface_hub import try_to_load_from_cache

from cli.common import json_option, print_json, progress_bar, settings_with
from embeddings.embedder import BATCH
from embeddings.engines.registry import make_engine
from embeddings.models.model import PACKAGED, Model
from embeddings.settings import Settings
from embeddings.tagging.open_set import open_set_gate
from embeddings.utils import write_atomically

SECONDS_MEASURED = 3.0
SPEEDS = "speeds.json"


@dataclass(frozen=True)
class Suggestion:
    """A recommended model.

    `parameters` is their number, `input_size` is in pixels; `top1` is timm's published ImageNet-1k accuracy in percent,
    at `top1_size` pixels. `open_set_gate` tells if a gate is fitted that lowers the confidences of images that show
    none of the classes.
    """

    name: str
    weights: str
    parameters: int
    dimension: int
    input_size: int
    top1: float
    top1_size: int
    images_per_second: float | None
    open_set_gate: bool


@click.command()
@click.option("--measure", is_flag=True, help="Measure the speed of each model first (some minutes).")
@click.option(
    "--find", metavar="PATTERN", help="List all timm models with weights whose names match, such as 'resnet*'."
)
@json_option
def models(measure: bool, find: str | None, as_json: bool) -> None:
    """List recommended models; any other timm model works too.

    Accuracy is timm's published top-1 on ImageNet-1k. Weights are packaged (with lookalike), on this machine (fetched
    before) or on the hub (fetched at first use). With a none-of-these gate, few images that show none of the model's
    classes get a tag; without one, most of them do. To use your own weights, give ARCHITECTURE@FILE.safetensors.
    """
    if find:
        names = _matching(find)
        print_json({"models": [{"name": name} for name in names]}) if as_json else click.echo("\n".join(names))
        return
    settings = settings_with()
    if measure:
        _measure(settings)
    rows = _suggestions(_speeds(settings), settings.data)
    if as_json:
        print_json({"models": rows})
    else:
        _print_table(rows)


def _suggestions(speeds: dict[str, float], data: Path) -> list[Suggestion]:
    text = (files("embeddings") / "data" / "models.csv").read_text(encoding="utf-8")
    return [
        Suggestion(
            row["name"],
            _weights(row["name"], row["hub"]),
            int(row["parameters"]),
            int(row["dimension"]),
            int(row["input_size"]),
            float(row["top1"]),
            int(row["top1_size"]),
            speeds.get(row["name"]),
            _has_gate(row["name"], row["fingerprint"], data),
        )
        for row in csv.DictReader(text.splitlines())
    ]


def _weights(name: str, hub: str) -> str:
    """Return where a model's weights are; `hub` is their repository on the hub."""
    if name in PACKAGED:
        return "packaged"
    cached = try_to_load_from_cache(hub, "model.safetensors")
    return "on this machine" if isinstance(cached, str) else "on the hub"


def _has_gate(name: str, fingerprint: str, data: Path) -> bool:
    """Return whether an open-set gate is fitted for a model, without loading or fetching the model.

    `fingerprint` is that of the table, empty for models without packaged weights. A gate that was fitted on this
    machine belongs to a model that was used here, so that its card is kept.
    """
    card = Model(name, data).kept_card()
    fingerprint = card.identity.fingerprint if card else fingerprint
    return open_set_gate(fingerprint, data) is not None


def _speeds(settings: Settings) -> dict[str, float]:
    """Return the speeds measured on this machine before: images per second by model name."""
    file = settings.data / SPEEDS
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _measure(settings: Settings) -> None:
    """Measure every recommended model, and save each result at once."""
    speeds = _speeds(settings)
    rows = _suggestions(speeds, settings.data)
    with progress_bar(len(rows), "measuring", "models") as bar:
        for row in rows:
            speeds[row.name] = _speed(row.name, settings)
            write_atomically(settings.data / SPEEDS, json.dumps(speeds, indent=1).encode())
            bar.update()


def _speed(name: str, settings: Settings) -> float:
    """Return images per second of the network alone, at batch 32. Speed does not depend on the weights' values."""
    with TemporaryDirectory() as scratch:
        model = Model(name, Path(scratch), random_weights=True)
        engine = make_engine(model, settings.engine, settings.device, settings.precision)
        spec = model.card.spec
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, spec.height, spec.width, 3), dtype=np.uint8)
    engine.run(pixels)
    began, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < SECONDS_MEASURED:
        engine.run(pixels)
        done += BATCH
    return round(done / passed, 1)


def _matching(pattern: str) -> list[str]:
    import timm  # noqa: PLC0415 - it imports torch, which most commands do not need

    return list(timm.list_models(pattern, pretrained=True))


def _print_table(rows: list[Suggestion]) -> None:
    click.echo(
        f"{'model':<38}{'weights':<17}{'parameters':>11}{'dimension':>11}{'input':>7}{'top-1':>15}{'images/s':>10}"
        f"{'none-of-these':>15}"
    )
    for row in rows:
        speed = f"{row.images_per_second:,.0f}" if row.images_per_second else "-"
        click.echo(
            f"{row.name:<38}{row.weights:<17}{row.parameters / 1e6:>10.1f}M{row.dimension:>11}{row.input_size:>7}"
            f"{row.top1:>6.1f}% at {row.top1_size}{speed:>10}"
            f"{'yes' if row.open_set_gate else 'no':>15}"
        )
    if all(row.images_per_second is None for row in rows):
        click.echo("--measure adds the speed on this machine", err=True)
