"""`lookalike search`: find the indexed images that look like an image."""

import asyncio
import uuid
from collections.abc import Sequence
from pathlib import Path

import click

from api.current_request import request_id_var
from api.schemas.requests import SearchQuery
from api.schemas.responses import SearchAnswer
from api.services.search import answer_query
from api.services.service import Service
from cli.common import (
    collection_option,
    in_words,
    json_option,
    model_option,
    print_json,
    settings_with,
    store_of,
)
from embeddings.embedder import Embedder
from embeddings.errors import ImageError, UsageError
from embeddings.imaging.decode import Box
from embeddings.settings import Settings
from embeddings.web.fetcher import WebFetcher


class BoxType(click.ParamType):
    """Four numbers separated by commas: the part of the image to search for."""

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
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Maximum number of results.")
@click.option("--offset", type=click.IntRange(0, 15_384), default=0, help="Number of results to skip.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Only images with this tag; may be repeated.")
@click.option("--min-score", type=click.FloatRange(-1, 1), default=-1.0, help="Leave out less similar images.")
@click.option("--box", type=BoxType(), help="Search for a part of IMAGE: left, top, width, height in 0..1.")
@json_option
def search(
    image: Path,
    collection: str | None,
    model: str | None,
    tags: Sequence[str],
    limit: int,
    offset: int,
    min_score: float,
    box: Box | None,
    as_json: bool,
) -> None:
    """Find the indexed images that look like IMAGE, most similar first.

    Scores are cosine similarities: 1 means the same image.
    """
    settings = settings_with(collection, model)
    request_id_var.set(uuid.uuid4().hex)
    corners = (box.x, box.y, box.width, box.height) if box else None
    query = SearchQuery.model_construct(tags=list(tags), limit=limit, offset=offset, min_score=min_score, box=corners)
    with store_of(settings) as store, Embedder(settings) as embedder:
        service = Service(settings, embedder, store, WebFetcher())
        answer = asyncio.run(_answer(service, query, image))
    print_json(answer.model_dump(mode="json")) if as_json else _print(answer, settings)


async def _answer(service: Service, query: SearchQuery, image: Path) -> SearchAnswer:
    try:
        data = image.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {image}") from error
    except OSError as error:
        raise UsageError(f"cannot read {image}: {error.strerror}") from error
    async with service.running():
        try:
            return await answer_query(service, query, lambda: data)
        except ImageError as error:
            raise UsageError(f"{image}: {error.message}") from error


def _print(answer: SearchAnswer, settings: Settings) -> None:
    if answer.labels:
        click.echo(f"shows: {in_words(answer.labels)}")
    for result in answer.results:
        names = ", ".join(tag.name for tag in result.tags)
        click.echo(f"{result.score:.3f}  {result.path}" + (f"  ({names})" if names else ""))
    if not answer.results:
        click.echo(f"no image in {settings.collection} matches", err=True)
