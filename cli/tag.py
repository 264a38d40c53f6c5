"""`lookalike tag`: print the labels of images."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from cli.common import in_words, json_option, model_option, plural, print_json, progress_bar, settings_with
from embeddings.embedder import BATCH, Embedder, Embedding
from embeddings.errors import FileUnreadable, LookalikeError, UsageError
from indexer.pipeline.lister import chunks
from indexer.pipeline.reader import Content, read_ahead
from indexer.sources.base import Reference, Unlistable
from indexer.sources.folder import Files, Folder
from store.locations import readable, to_text

READ_AHEAD = 4 * BATCH


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path))
@model_option
@click.option("--min-confidence", type=click.FloatRange(0, 1), default=0.0, help="Lowest probability of a label.")
@click.option(
    "--limit", type=click.IntRange(1, 100), default=5, show_default=True, help="Maximum number of labels per image."
)
@json_option
def tag(images: Sequence[Path], model: str | None, min_confidence: float, limit: int, as_json: bool) -> int:
    """Print the labels of each IMAGE; a folder stands for all images below it.

    Confidences are calibrated probabilities. Nothing is indexed.
    """
    settings = settings_with(model=model)
    with Embedder(settings) as embedder:
        if embedder.headless:
            raise UsageError(f"{embedder.identity.name} has no classes and gives no tags: choose another with --model")
        files = [file for image in images for file in _files(image)]
        documents: list[dict[str, Any]] = []
        with progress_bar(len(files), "tagging") as bar:
            for path, result in _tagged(files, embedder, settings.max_bytes):
                if isinstance(result, LookalikeError):
                    documents.append({"path": path, "error": {"code": result.code, "message": result.message}})
                else:
                    labels = embedder.tagger.labels(result.vector, result.logits, limit, min_confidence)
                    documents.append({"path": path, "labels": labels})
                bar.update()
                if not as_json:
                    bar.write(_line(documents[-1]))
    failed = sum("error" in document for document in documents)
    if as_json:
        print_json({"model": embedder.identity.name, "images": documents})
    elif failed:
        click.echo(f"{plural(failed, 'image')} of {len(documents):,} failed", err=True)
    return 1 if failed else 0


def _files(image: Path) -> Iterator[Reference | Unlistable]:
    """Yield the files of an argument, with paths relative to the working directory as the argument is."""
    if not image.is_dir():
        yield _named_file(image)
        return
    for item in Folder(image).references():
        yield replace(item, path=f"{to_text(str(image)).rstrip('/')}/{item.path}")


def _named_file(image: Path) -> Reference | Unlistable:
    path = to_text(str(image))
    try:
        status = image.stat()
    except FileNotFoundError:
        return Unlistable(path, FileUnreadable("there is no such file"))
    except (OSError, ValueError) as error:
        return Unlistable(path, FileUnreadable(f"the file cannot be read: {error}"))
    return Reference(path, status.st_size, status.st_mtime_ns)


def _tagged(
    items: list[Reference | Unlistable], embedder: Embedder, max_bytes: int
) -> Iterator[tuple[str, Embedding | LookalikeError]]:
    """Yield the embedding or error of each file; files that cannot be listed come first."""
    for item in items:
        if isinstance(item, Unlistable):
            yield readable(item.path), item.error
    references = [item for item in items if isinstance(item, Reference)]
    for chunk in chunks(read_ahead(Files(items), references, max_bytes), READ_AHEAD):
        embedded = iter(embedder.embed([content.data for _, content in chunk if isinstance(content, Content)]))
        for file, content in chunk:
            yield readable(file.path), next(embedded) if isinstance(content, Content) else content


def _line(document: dict[str, Any]) -> str:
    if "error" in document:
        return f"{document['path']}: failed: {document['error']['message']}"
    return f"{document['path']}: {in_words(document['labels'])}"
