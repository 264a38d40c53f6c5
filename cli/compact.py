"""`lookalike compact`: shrink a collection's vectors to a tenth of their size, or go back to the full ones."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import click

from cli.common import json_option, plural, print_json, progress_bar, settings_with, store_of
from embeddings.errors import UsageError
from embeddings.settings import Settings
from indexer.migration.compact import Compaction, Measured
from indexer.migration.reembed import ReEmbedder
from indexer.migration.restore import Restore
from store.base import Store
from store.locations import UPLOAD

MAX_SHOWN = 20
LABELS = {"fit": "fitting", "build": "projecting", "check": "checking"}


@dataclass(frozen=True)
class CompactReport:
    """The result of compacting.

    `neighbours_kept` is recall@10 of `queries` rows against exact search with full vectors; bytes are those of the
    vectors alone, four for each number.
    """

    collection: str
    model: str
    rows: int
    dimension_before: int
    dimension: int
    whitening: float
    neighbours_kept: float
    queries: int
    vector_bytes_before: int
    vector_bytes: int
    ms_a_query_before: float
    ms_a_query: float
    switched: bool
    seconds: float


@dataclass(frozen=True)
class Lost:
    """A row without a full vector, because its image cannot be read."""

    id: str
    source: str
    path: str


@dataclass(frozen=True)
class BackReport:
    """The result of going back.

    `changed` rows were brought up to date: `copied` of them have the vector of a row with the same bytes, `embedded`
    were embedded again, and `left_behind` stay in the compact collection alone.
    """

    collection: str
    changed: int
    copied: int
    embedded: int
    left_behind: list[Lost]
    switched: bool
    seconds: float


@dataclass(frozen=True)
class DropReport:
    """The removed collections beside the one in use, by their dimensions and rows."""

    collection: str
    dropped: list[dict[str, int]] = field(default_factory=list)


@click.command()
@click.argument("collection")
@click.option("--dim", type=click.Choice(["128", "256"]), help="The number of dimensions of the compact vectors.")
@click.option(
    "--whiten",
    "whitening",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="0 preserves neighbours best; higher values bring images of the same thing closer together.",
)
@click.option("--back", is_flag=True, help="Go back to the full vectors, with all changes since.")
@click.option("--drop", is_flag=True, help="Remove the vectors that are not in use; this cannot be undone.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
def compact(
    collection: str, dim: str | None, whitening: float, back: bool, drop: bool, yes: bool, as_json: bool
) -> int:
    """Give COLLECTION vectors of 128 or 256 dimensions, without reading its images again.

    A projection (PCA, half-whitened) is fitted to the collection's own vectors and stored with it. Searching, adding
    and indexing work as before. The share of the ten nearest images that stay among the ten nearest is measured first.
    The collection stays in use until the compact one is complete, which then replaces it at once. In a terminal you
    are asked to confirm the switch. Scores change: 1 is still the same image, but images with little in common come
    near 0.

    The full vectors are kept until --drop. After Ctrl-C or a crash, the same command starts again.
    """
    if sum((dim is not None, back, drop)) != 1:
        raise UsageError("give one of --dim, --back and --drop")
    settings = settings_with(collection)
    ask = not yes and not as_json and sys.stdin.isatty()
    with store_of(settings) as store:
        if dim is not None:
            return _compact(store, settings.collection, int(dim), whitening, ask, as_json)
        if back:
            return _back(store, settings, ask, yes, as_json)
        return _drop(store, settings.collection, ask, yes, as_json)


def _compact(store: Store, name: str, dimension: int, whitening: float, ask: bool, as_json: bool) -> int:
    began = time.perf_counter()
    with StageBar() as bar:
        task = Compaction(store, name, dimension, bar.show, whitening)
        try:
            measured = task.build()
        except KeyboardInterrupt:
            bar.close()
            click.echo(f"stopped; {name} is unchanged, and the same command starts again", err=True)
            task.abandon()
            raise
        bar.close()
        if not as_json:
            _print_measured(name, measured)
        switched = not ask or click.confirm("switch to it?", default=True)
        task.switch() if switched else task.abandon()
    seconds = time.perf_counter() - began
    if as_json:
        model = store.open(name).model.name
        print_json(_compact_report(name, model, measured, whitening, switched, seconds))
    elif switched:
        click.echo(f"{name} is compact now ({seconds:.1f} s); the full vectors are kept: --back, or --drop")
    else:
        click.echo(f"{name} is unchanged")
    return 0


def _compact_report(
    name: str, model: str, measured: Measured, whitening: float, switched: bool, seconds: float
) -> CompactReport:
    return CompactReport(
        collection=name,
        model=model,
        rows=measured.rows,
        dimension_before=measured.dimension_before,
        dimension=measured.dimension,
        whitening=whitening,
        neighbours_kept=round(measured.kept, 4),
        queries=measured.queries,
        vector_bytes_before=4 * measured.rows * measured.dimension_before,
        vector_bytes=4 * measured.rows * measured.dimension,
        ms_a_query_before=round(measured.ms_before, 2),
        ms_a_query=round(measured.ms_after, 2),
        switched=switched,
        seconds=round(seconds, 3),
    )


def _print_measured(name: str, measured: Measured) -> None:
    before, after = (4e-6 * measured.rows * d for d in (measured.dimension_before, measured.dimension))
    click.echo(
        f"{name}: {plural(measured.rows, 'row')}, {measured.dimension_before:,} -> {measured.dimension} dimensions, "
        f"vectors {before:,.1f} -> {after:,.1f} MB, {measured.ms_before:.1f} -> {measured.ms_after:.1f} ms a query; "
        f"{measured.kept:.1%} of the ten nearest are kept (exact search, {plural(measured.queries, 'row')})"
    )


def _back(store: Store, settings: Settings, ask: bool, yes: bool, as_json: bool) -> int:
    name, began = settings.collection, time.perf_counter()
    with ReEmbedder(store, settings) as embedder, StageBar() as bar:
        task = Restore(store, name, embedder.vectors, bar.show)
        changed = task.prepare()
        bar.close()
        lost = [Lost(row.id, row.source, row.path) for row in task.left_behind.values()]
        if not as_json:
            _print_lost(lost)
        switched = _agreed(lost, ask, yes)
        if switched:
            task.switch()
    seconds = time.perf_counter() - began
    lost = [Lost(row.id, row.source, row.path) for row in task.left_behind.values()]
    report = BackReport(name, changed, task.copied, task.embedded, lost, switched, round(seconds, 3))
    print_json(report) if as_json else _print_back(report)
    return 1 if lost and switched else 0


def _agreed(lost: Sequence[Lost], ask: bool, yes: bool) -> bool:
    if not lost or yes:
        return True
    if ask:
        return click.confirm(f"go back without {plural(len(lost), 'row')}?", default=False)
    raise UsageError(
        f"{plural(len(lost), 'row')} came after the switch, and their images cannot be read from here: mount their "
        "folders, or go back without them with --yes and index their sources again"
    )


def _print_lost(lost: Sequence[Lost]) -> None:
    for row in lost[:MAX_SHOWN]:
        click.echo(f"  cannot be read again: {row.id} ({row.path} of {row.source})", err=True)
    if len(lost) > MAX_SHOWN:
        click.echo(f"  ... and {len(lost) - MAX_SHOWN:,} more; --json lists them all", err=True)


def _print_back(report: BackReport) -> None:
    if not report.switched:
        click.echo(f"{report.collection} is still compact")
        return
    click.echo(
        f"{report.collection} has its full vectors again: {plural(report.changed, 'row')} changed since, "
        f"{report.copied:,} copied, {report.embedded:,} embedded again, {len(report.left_behind):,} left behind "
        f"({report.seconds:.1f} s); the compact ones are kept: --drop"
    )
    sources = sorted({row.source for row in report.left_behind if row.source != UPLOAD})
    for source in sources:
        click.echo(f"  to index the rows that were left behind: lookalike index {source}", err=True)


def _drop(store: Store, name: str, ask: bool, yes: bool, as_json: bool) -> int:
    kept = store.open(name).model.dimension
    if not yes:
        if not ask:
            raise UsageError("--drop cannot be undone: add --yes")
        click.confirm(f"{name} is in use with {kept:,} dimensions; remove its other vectors?", abort=True)
    dropped = [{"dimension": info.model.dimension, "rows": info.count} for info in store.drop_beside(name)]
    if as_json:
        print_json(DropReport(name, dropped))
    for info in [] if as_json else dropped:
        click.echo(f"{name}: {plural(info['rows'], 'row')} of {info['dimension']:,} dimensions removed")
    if not dropped and not as_json:
        click.echo(f"{name}: there are no other vectors")
    return 0


class StageBar:
    """A progress bar that starts again at each stage; a context manager."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: Any = progress_bar(0, "", "rows")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, stage: str, done: int, total: int) -> None:
        """Bring the bar up to date."""
        if self._stage != stage or done < self._bar.n:
            self._stage = stage
            self._bar.reset(total)
            self._bar.set_description(LABELS[stage], refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Clear the bar."""
        self._bar.close()
