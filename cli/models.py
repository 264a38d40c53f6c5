"""`lookalike models`: what can be used, its size, dimension, accuracy, and speed on this machine."""

import csv
import time
from dataclasses import dataclass, replace
from importlib.resources import files

import click
import numpy as np

from cli.common import json_option, print_json, progress_bar, settings_with
from embeddings.embedder import BATCH
from embeddings.engines import make_engine
from embeddings.models import PACKAGED, Model
from embeddings.settings import Settings

SECONDS_MEASURED = 3.0


@dataclass(frozen=True)
class Suggestion:
    """A model worth its time. `top1` is timm's published ImageNet-1k accuracy in percent, at `top1_size` pixels."""

    name: str
    weights: str
    parameters: int
    dimension: int
    input_size: int
    top1: float
    top1_size: int
    images_per_second: float | None


@click.command()
@click.option("--measure", is_flag=True, help="Measure the speed of each on this machine (a minute or two).")
@click.option("--find", metavar="PATTERN", help="List all of timm's models with weights that fit, like 'resnet*'.")
@json_option
def models(measure: bool, find: str | None, as_json: bool) -> None:
    """List models to choose from; any other of timm's works too.

    Accuracy is timm's published top-1 on ImageNet-1k. Weights are packaged (with lookalike), on this machine (fetched
    before) or on the hub (fetched when first used). A file of your own is given as ARCHITECTURE@FILE.safetensors.
    """
    if find:
        names = _fitting(find)
        print_json({"models": [{"name": name} for name in names]}) if as_json else click.echo("\n".join(names))
        return
    rows = _measured(settings_with()) if measure else _suggestions()
    if as_json:
        print_json({"models": rows})
    else:
        _print_table(rows)


def _suggestions() -> list[Suggestion]:
    from embeddings import networks  # noqa: PLC0415 - torch, which most commands do without

    text = (files("embeddings") / "data" / "models.csv").read_text(encoding="utf-8")
    rows = []
    for row in csv.DictReader(text.splitlines()):
        outline = networks.outline(row["name"])
        weights = "packaged" if row["name"] in PACKAGED else outline.weights
        facts = (outline.parameters, outline.dimension, outline.input_size, float(row["top1"]), int(row["top1_size"]))
        rows.append(Suggestion(row["name"], weights, *facts, images_per_second=None))
    return rows


def _measured(settings: Settings) -> list[Suggestion]:
    rows = _suggestions()
    with progress_bar(len(rows), "measuring", "models") as bar:
        for i, row in enumerate(rows):
            rows[i] = replace(row, images_per_second=_speed(row.name, settings))
            bar.update()
    return rows


def _speed(name: str, settings: Settings) -> float:
    """Return images a second through the network alone, at batch 32. Speed does not depend on the weights' values."""
    model = Model(name, settings.data, random_weights=True)
    engine = make_engine(model, settings.engine, settings.device, settings.precision)
    spec = model.card.spec
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, spec.height, spec.width, 3), dtype=np.uint8)
    engine.run(pixels)
    began, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < SECONDS_MEASURED:
        engine.run(pixels)
        done += BATCH
    return round(done / passed, 1)


def _fitting(pattern: str) -> list[str]:
    import timm  # noqa: PLC0415 - as above

    return list(timm.list_models(pattern, pretrained=True))


def _print_table(rows: list[Suggestion]) -> None:
    click.echo(
        f"{'model':<38}{'weights':<17}{'parameters':>11}{'dimension':>11}{'input':>7}{'top-1':>15}{'images/s':>10}"
    )
    for row in rows:
        speed = f"{row.images_per_second:,.0f}" if row.images_per_second else "-"
        click.echo(
            f"{row.name:<38}{row.weights:<17}{row.parameters / 1e6:>10.1f}M{row.dimension:>11}{row.input_size:>7}"
            f"{row.top1:>6.1f}% at {row.top1_size}{speed:>10}"
        )
    if all(row.images_per_second is None for row in rows):
        click.echo("--measure adds the speed on this machine", err=True)
