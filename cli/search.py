"""`lookalike search`: find the indexed pictures that look like an image."""

import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import click

from api.schemas.responses import SearchAnswer, SearchTimes
from api.schemas.serialize import milliseconds, result, score
from api.services.collections import CollectionService
from cli.common import (
    collection_option,
    in_words,
    json_option,
    model_option,
    print_json,
    settings_with,
    store_of,
)
from embeddings.embedder import Embedder, Embedding
from embeddings.errors import LookalikeError, UsageError
from embeddings.imaging.decode import Box
from embeddings.settings import Settings
from store.base import Collection
from store.image_files import ImageFiles
from store.records import Hit

LABELS = 5


class BoxType(click.ParamType):
    """Four numbers with commas: the part of the picture to search for."""

    name = "x,y,w,h"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> Box:
        """Return the box."""
        try:
            x, y, width, height = (float(number) for number in str(value).split(","))
            return Box(x, y, width, height)
        except (ValueError, UsageError) as error:
            self.fail(f"{value!r} is not four numbers in 0..1 like 0.25,0.25,0.5,0.5: {error}", param, context)


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@collection_option
@model_option
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Results at most.")
@click.option("--offset", type=click.IntRange(0, 15_384), default=0, help="Results to skip.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Only pictures with this tag; may be repeated.")
@click.option("--min-score", type=click.FloatRange(-1, 1), default=-1.0, help="Leave out less similar pictures.")
@click.option("--box", type=BoxType(), help="Search for a part of IMAGE: left, top, width, height in 0..1.")
@json_option
def search(
    image: Path,
    collection: str | None,
    model: str | None,
    tags: Sequence[str],
    as_json: bool,
    box: Box | None,
    **numbers: float,
) -> None:
    """Find the indexed pictures that look like IMAGE, nearest first.

    Scores are cosine similarities: 1 is the same picture.
    """
    settings = settings_with(collection, model)
    with store_of(settings) as store, Embedder(settings) as embedder:
        image_files = ImageFiles(settings.data, settings.max_bytes)
        library = CollectionService(store, embedder.identity, lambda: embedder.vocabulary, image_files)
        target = library.open_for_search(settings.collection, tags)
        answer = _search(image, box, target, embedder, tuple(tags), numbers)
    print_json(answer.model_dump(mode="json")) if as_json else _print(answer, settings)


def _search(
    image: Path,
    box: Box | None,
    target: Collection,
    embedder: Embedder,
    tags: tuple[str, ...],
    numbers: dict[str, float],
) -> SearchAnswer:
    began = time.perf_counter()
    embedding, decoded = _embed(image, box, embedder)
    between = time.perf_counter()
    limit, offset, least = int(numbers["limit"]), int(numbers["offset"]), numbers["min_score"]
    hits: list[Hit] = target.search(embedding.vector[None], limit, offset, tags)[0]
    done = time.perf_counter()
    return SearchAnswer(
        request_id=uuid.uuid4().hex,
        model=embedder.identity.name,
        took_ms=SearchTimes(
            decode=milliseconds(decoded - began),
            network=milliseconds(between - decoded),
            search=milliseconds(done - between),
            total=milliseconds(done - began),
        ),
        labels=embedder.tagger.labels(embedding.logits, LABELS),
        results=[result(hit, target.name) for hit in hits if score(hit) >= least],
    )


def _embed(image: Path, box: Box | None, embedder: Embedder) -> tuple[Embedding, float]:
    """Return the picture's embedding and when it was decoded."""
    try:
        data = image.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {image}") from error
    except OSError as error:
        raise UsageError(f"cannot read {image}: {error.strerror}") from error
    try:
        pixels = embedder.submit(data, box).result()
    except LookalikeError as error:
        raise UsageError(f"{image}: {error.message}") from error
    decoded = time.perf_counter()
    return embedder.finish([pixels])[0], decoded


def _print(answer: SearchAnswer, settings: Settings) -> None:
    if answer.labels:
        click.echo(f"shows: {in_words(answer.labels)}")
    for found in answer.results:
        named = ", ".join(tag.name for tag in found.tags)
        click.echo(f"{found.score:.3f}  {found.path}" + (f"  ({named})" if named else ""))
    if not answer.results:
        click.echo(f"nothing in {settings.collection} fits", err=True)
