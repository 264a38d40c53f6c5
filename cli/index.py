"""`lookalike index`: index every image of a folder, a list or a bucket into a collection."""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import Self

import click

from cli.common import (
    collection_option,
    headers_of,
    headers_option,
    json_option,
    model_option,
    plural,
    print_json,
    progress_bar,
    settings_with,
    store_of,
)
from embeddings.embedder import Embedder
from embeddings.errors import SourceUnavailable, UsageError
from embeddings.settings import Settings
from indexer.pipeline.index_source import index_source
from indexer.pipeline.progress import Failure, IndexProgress
from indexer.sources.base import Source
from indexer.sources.folder import Folder
from indexer.sources.open_source import open_source
from store.base import Collection

MAX_SHOWN = 20
TICK_MS = 500
LOOK_AGAIN_SECONDS = 30.0


@dataclass(frozen=True)
class IndexReport:
    """The result of one run. `found` is the sum of `indexed`, `copied`, `skipped` and `failed`."""

    collection: str
    model: str
    found: int
    indexed: int
    copied: int
    skipped: int
    removed: int
    failed: int
    seconds: float
    images_per_second: float
    failures: list[Failure]


@click.command()
@click.argument("source")
@collection_option
@model_option
@click.option("--prune", is_flag=True, help="Also remove entries whose files no longer exist in SOURCE.")
@click.option(
    "--even-if-empty", is_flag=True, help="With --prune: also when SOURCE has no image at all, as an unmounted drive."
)
@click.option("--watch", is_flag=True, help="Keep indexing as a folder changes, until Ctrl-C; implies --prune.")
@headers_option
@json_option
def index(
    source: str,
    collection: str | None,
    model: str | None,
    prune: bool,
    even_if_empty: bool,
    watch: bool,
    headers: Sequence[str],
    as_json: bool,
) -> int:
    """Index every image of SOURCE into a collection.

    SOURCE is a folder; a list of images (.csv, .tsv, .jsonl, .ndjson or .parquet with a column 'uri' and optional
    columns 'id', 'meta', 'bytes' and 'modified_at'; .txt or .urls with one web address a line); or a bucket or server:
    s3://bucket/photos, gs://, az://, sftp://.

    Unchanged files are not opened again. Renamed, moved and duplicate files are copied from the row that has their
    content. Files that fail are listed and never stop the run. Ctrl-C stops it; the next run continues from there.
    """
    settings = settings_with(collection, model)
    opened = open_source(source, headers_of(headers))
    folder = opened if isinstance(opened, Folder) else None
    if watch and folder is None:
        raise UsageError("--watch is for folders: run the command again when a list or a bucket has changed")
    with store_of(settings) as store, Embedder(settings) as embedder:
        target = store.create(settings.collection, embedder.identity)
        report = index_once(opened, target, embedder, settings, prune or watch, even_if_empty)
        print_json(report) if as_json else print_report(report)
        if watch and folder is not None:
            _watch(folder, target, embedder, settings, as_json)
    return 1 if report.failed else 0


def index_once(
    source: Source,
    target: Collection,
    embedder: Embedder,
    settings: Settings,
    prune: bool,
    even_if_empty: bool = False,
) -> IndexReport:
    """Index a source with a progress bar and return the report."""
    began = time.perf_counter()
    with IndexBar(PurePath(source.name).name) as bar:
        try:
            progress = index_source(source, target, embedder, settings.max_bytes, prune, bar.show, even_if_empty)
        except KeyboardInterrupt:
            bar.close()
            click.echo(
                f"{bar.finished:,} of {plural(bar.found, 'image')} done; the next run continues from there", err=True
            )
            raise
    return _report(target, progress, time.perf_counter() - began)


def print_report(report: IndexReport) -> None:
    """Print the report as text."""
    click.echo(
        f"{report.collection}: {plural(report.found, 'image')} found, {report.indexed:,} indexed, "
        f"{report.copied:,} copied, {report.skipped:,} unchanged, {report.removed:,} removed, {report.failed:,} failed "
        f"in {report.seconds:.1f} s ({report.images_per_second:,.0f} images/s)"
    )
    for failure in report.failures[:MAX_SHOWN]:
        click.echo(f"  failed: {failure.path}: {failure.message}", err=True)
    if report.failed > MAX_SHOWN:
        click.echo(f"  ... and {report.failed - MAX_SHOWN:,} more; --json lists them all", err=True)


def _report(target: Collection, progress: IndexProgress, seconds: float) -> IndexReport:
    return IndexReport(
        collection=target.name,
        model=target.model.name,
        **progress.counts,
        seconds=round(seconds, 3),
        images_per_second=round((progress.indexed + progress.copied) / seconds, 1),
        failures=progress.failures,
    )


class IndexBar:
    """The progress bar of one run; a context manager."""

    def __init__(self, label: str) -> None:
        self.found = self.finished = 0
        self._bar = progress_bar(0, label)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, progress: IndexProgress) -> None:
        """Bring the bar up to date."""
        if self.found != progress.found:
            self._bar.reset(progress.found)
        self._bar.update(progress.finished - self.finished)
        if progress.failed:
            self._bar.set_postfix(failed=progress.failed, refresh=False)
        self.found, self.finished = progress.found, progress.finished

    def close(self) -> None:
        """Clear the bar."""
        self._bar.close()


def _watch(folder: Folder, target: Collection, embedder: Embedder, settings: Settings, as_json: bool) -> None:
    """Index the folder again whenever a file below it changes, until Ctrl-C."""
    from watchfiles import watch  # noqa: PLC0415 - used only here

    click.echo(f"watching {folder.root}; Ctrl-C stops", err=True)
    indexed_at, told = -math.inf, ""
    with suppress(KeyboardInterrupt):  # the way to end it, also while the folder is indexed again
        for changes in watch(folder.root, yield_on_timeout=True, rust_timeout=TICK_MS):
            # Also at once, because files may have come before the watch began, and now and then, because the system
            # does not report changes of network mounts.
            if not changes and time.monotonic() - indexed_at < LOOK_AGAIN_SECONDS:
                continue
            indexed_at = time.monotonic()
            try:
                report = index_once(folder, target, embedder, settings, prune=True)
            except SourceUnavailable as error:  # its drive may come back
                if error.message != told:
                    click.echo(error.message, err=True)
                told = error.message
                continue
            indexed_at, told = time.monotonic(), ""
            if report.indexed or report.copied or report.removed or report.failed:
                print_json(report) if as_json else print_report(report)
