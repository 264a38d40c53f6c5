"""`lookalike run`: index a folder, print examples, and serve it."""

import re
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np

from cli.common import collection_option, in_words, model_option, settings_with, store_of
from cli.index import index_once, print_report
from cli.serve import anyone_option, host_option, port_option
from embeddings.embedder import Embedder
from embeddings.errors import UsageError
from embeddings.settings import Settings
from embeddings.utils import write_atomically
from indexer.sources.folder import Folder
from store.base import Collection
from store.locations import display_path
from store.records import Row

EXAMPLES = 3
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
SAMPLE = 200
DEMO_PHOTOS = (
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png"),
    *("coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "microaneurysms.png", "moon.png"),
    *("motorcycle_left.png", "motorcycle_right.png", "page.png", "retina.jpg", "rocket.jpg", "text.png"),
)


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@host_option
@port_option
@collection_option
@model_option
@anyone_option
def run(
    folder: Path | None, host: str, port: int, collection: str | None, model: str | None, allow_anyone: bool
) -> None:
    """Index FOLDER, print a few examples, and serve it until Ctrl-C.

    Without FOLDER, a few photos from scikit-image are used.
    """
    from api.server.run import listening, load_keys, serve_opened  # noqa: PLC0415 - the web framework, which few commands need

    settings = settings_with(collection, model)
    source = Folder(folder or demo_folder(settings.data))
    settings = with_library(settings, source)
    with listening(host, port) as listener:
        keys = load_keys(settings, listener, allow_anyone)
        with store_of(settings) as store, Embedder(settings) as embedder:
            click.echo(f"indexing {source.root}", err=True)
            target = store.create(settings.collection, embedder.identity)
            print_report(index_once(source, target, embedder, settings, prune=False))
            show_examples(target)
            serve_opened(settings, listener, embedder, store, _print_address, keys)


def _print_address(address: str) -> None:
    click.echo(f"open {address} (Ctrl-C stops)")


def with_library(settings: Settings, source: Folder) -> Settings:
    """Return the settings with the folder as a library, so that a job can index it again while it is served."""
    name = NOT_IN_NAMES.sub("-", Path(source.root).name)[:64] or "photos"
    return settings.model_copy(update={"libraries": {name: source.root} | settings.libraries})


def demo_folder(data: Path) -> Path:
    """Return a folder with copies of scikit-image's photos. Raises UsageError if scikit-image is not installed."""
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise UsageError("name a folder of photos, or install the demo photos: pip install 'lookalike[demo]'")
    photos = data / "demo"
    for name in DEMO_PHOTOS:
        if not (photos / name).exists():
            write_atomically(photos / name, (Path(package.origin).parent / "data" / name).read_bytes())
    return photos


def show_examples(collection: Collection) -> None:
    """Print the tags and the nearest image of three images, those with the highest scores."""
    sample = [row.id for row in collection.browse(limit=SAMPLE) if row.tags]
    rows = [row for row in collection.fetch(sample, with_vectors=True) if row.vector is not None]
    if not rows:
        return
    vectors = np.array([row.vector for row in rows])
    nearest = collection.search(vectors, limit=2)
    pairs = [(row, hit) for row, hits in zip(rows, nearest, strict=True) for hit in hits if hit.row.id != row.id]
    shown: set[frozenset[str]] = set()
    for row, hit in sorted(pairs, key=lambda pair: -pair[1].score):
        pair = frozenset((row.id, hit.row.id))
        if pair in shown:
            continue
        shown.add(pair)
        click.echo(f"  {_name(row)}: {in_words(row.tags[:4])}")
        click.echo(f"    looks most like {_name(hit.row)} ({hit.score:.2f})")
        if len(shown) == EXAMPLES:
            return


def _name(row: Row) -> str:
    return Path(display_path(row)).name
