"""`lookalike bench`: measure the speed of decoding, network and search on this machine."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from cli.common import json_option, model_option, print_json, progress_bar, settings_with, store_of
from cli.plotting import check_plot, draw_bars
from cli.synthetic_images import make_images
from embeddings.embedder import BATCH, Embedder
from embeddings.engines.registry import ENGINES, make_engine
from embeddings.errors import ModelError
from embeddings.models.model import Model
from embeddings.settings import Settings
from indexer.pipeline.index_source import index_source
from indexer.pipeline.lister import chunks
from indexer.pipeline.pipeline import GROUP
from indexer.pipeline.reader import Content, read_ahead
from indexer.sources.base import Reference
from indexer.sources.folder import Folder
from store.base import Collection
from store.records import Row

IMAGES = 512
SECONDS = 3.0
QUERIES = 50


@dataclass(frozen=True)
class Measures:
    """Measured speeds, in images per second unless the name says otherwise.

    `limit` is the speed that decoding and network would reach together if they shared the processors and nothing else
    took time; `whole` is the measured speed of indexing, `fraction_of_limit` its ratio to the limit.
    """

    model: str
    engine: str
    images: int
    decode: float
    network: dict[str, float]
    limit: float
    store_rows_per_second: float
    whole: float
    fraction_of_limit: float
    search_rows: int
    search_ms: float


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@model_option
@click.option(
    "--plot",
    metavar="FILE.png",
    type=click.Path(path_type=Path),
    help="Also draw the results as a bar chart (needs: pip install 'lookalike[plot]').",
)
@json_option
def bench(folder: Path | None, model: str | None, plot: Path | None, as_json: bool) -> None:
    """Measure how fast this machine decodes, embeds, writes and searches.

    FOLDER holds the photos to measure with; without it, images of 500 x 375 pixels are generated. It takes about half a
    minute.
    """
    settings = settings_with(model=model)
    if plot:
        check_plot(plot)
    with TemporaryDirectory() as place:
        photos = Folder(folder or make_images(Path(place) / "photos", IMAGES))
        scratch = settings.model_copy(update={"data": Path(place) / "data", "milvus_uri": ""})
        (Path(place) / "data").mkdir()
        measures = _measure(photos, settings, scratch)
    print_json(asdict(measures)) if as_json else _print(measures)
    if plot:
        _draw(measures, plot)


def _measure(photos: Folder, settings: Settings, scratch: Settings) -> Measures:
    """Measure with the converted network of `settings`, and with rows in the temporary store of `scratch`."""
    files = [item for item in photos.references() if isinstance(item, Reference)][:IMAGES]
    contents = [c.data for _, c in read_ahead(photos, files, settings.max_bytes) if isinstance(c, Content)]
    with progress_bar(4, "measuring", "steps") as bar, store_of(scratch) as store, Embedder(settings) as embedder:
        embedder.embed(contents[:BATCH])
        groups = list(chunks(contents, GROUP))
        decode = _rate(lambda: [f.result() for f in [embedder.submit_group(group) for group in groups]], len(contents))
        bar.update()
        network = _networks(settings)
        bar.update()
        collection = store.create("bench", embedder.identity)
        rows_per_second = _write(collection)
        search_ms = _search_ms(collection)
        bar.update()
        whole = store.create("whole", embedder.identity)
        began = time.perf_counter()
        progress = index_source(photos, whole, embedder, settings.max_bytes, False, lambda _: None)
        rate = (progress.indexed + progress.copied) / (time.perf_counter() - began)
        bar.update()
        limit = 1 / (1 / decode + 1 / network[embedder.engine.name])
        return Measures(
            model=embedder.identity.name,
            engine=embedder.engine.name,
            images=len(contents),
            decode=round(decode, 1),
            network={name: round(value, 1) for name, value in network.items()},
            limit=round(limit, 1),
            store_rows_per_second=round(rows_per_second, 1),
            whole=round(rate, 1),
            fraction_of_limit=round(rate / limit, 3),
            search_rows=collection.count(),
            search_ms=round(search_ms, 2),
        )


def _networks(settings: Settings) -> dict[str, float]:
    """Return the rate of every engine and precision that runs here, by the engine's name."""
    model = Model(settings.model, settings.data)
    spec = model.card.spec
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, spec.height, spec.width, 3), dtype=np.uint8)
    rates = {}
    for kind in (name for name, engine in ENGINES.items() if engine.available()):
        for precision in ("fp32", "bf16"):
            try:
                engine = make_engine(model, kind, "auto", precision)
            except ModelError:  # this machine does not support the precision
                continue
            rates[engine.name] = _rate(lambda engine=engine: engine.run(pixels), BATCH)  # type: ignore[misc]
    return rates


def _rate(work: Callable[[], object], items: int) -> float:
    """Return items per second of a repeated function; the first call is not counted."""
    work()
    began, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < SECONDS:
        work()
        done += items
    return done / passed


def _write(collection: Collection) -> float:
    rows = [_row(i, collection.model.dimension) for i in range(5_000)]
    began = time.perf_counter()
    collection.upsert(rows)
    collection.flush()
    return len(rows) / (time.perf_counter() - began)


def _search_ms(collection: Collection) -> float:
    vectors = np.array([_row(-i, collection.model.dimension).vector for i in range(1, QUERIES + 1)])
    collection.search(vectors[:1], 20)
    began = time.perf_counter()
    for vector in vectors:
        collection.search(vector[None], 20)
    return (time.perf_counter() - began) / QUERIES * 1000


def _row(number: int, dimension: int) -> Row:
    vector = np.random.default_rng(abs(number) * 2 + (number < 0)).standard_normal(dimension).astype(np.float32)
    vector /= np.linalg.norm(vector)
    now = datetime.now(UTC)
    return Row(f"{number}", "bench", f"{number}", f"{number}", 0, vector, (), 1, 1, 1, None, 0, now, {})


def _print(measures: Measures) -> None:
    lines = [
        *((name, f"{rate:,.0f} images/s") for name, rate in _rates(measures)),
        ("the whole in percent of the limit", f"{measures.fraction_of_limit:.0%}"),
        ("writing rows alone", f"{measures.store_rows_per_second:,.0f} rows/s"),
        (f"one search among {measures.search_rows:,} rows", f"{measures.search_ms:.1f} ms"),
    ]
    click.echo(_title(measures))
    for name, value in lines:
        click.echo(f"  {name:<42}{value:>18}")


def _draw(measures: Measures, path: Path) -> None:
    """Draw the rates as bars, with the other results as a note below."""
    note = (
        f"the whole is {measures.fraction_of_limit:.0%} of the limit; "
        f"writing rows alone: {measures.store_rows_per_second:,.0f} rows/s; "
        f"one search among {measures.search_rows:,} rows: {measures.search_ms:.1f} ms"
    )
    draw_bars(path, _title(measures), "images/s", _rates(measures), note)


def _title(measures: Measures) -> str:
    return f"{measures.model} on {measures.engine}, {measures.images} images"


def _rates(measures: Measures) -> list[tuple[str, float]]:
    """Return the results in images per second, with their names."""
    return [
        ("decoding alone", measures.decode),
        *((f"network alone, {name}", rate) for name, rate in measures.network.items()),
        ("both sharing the processors (the limit)", measures.limit),
        ("the whole: files to searchable rows", measures.whole),
    ]
