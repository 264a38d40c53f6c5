"""`lookalike copy`: copy a collection to another store or another name, without computing its vectors again."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import click

from cli.common import json_option, plural, print_json, progress_bar, settings_with
from embeddings.errors import NotFound, UsageError
from embeddings.settings import Settings
from indexer.migration.copy import CopyProgress, copy_rows, open_target
from indexer.migration.upload_files import Uploads
from store import open_store
from store.base import Collection, Store
from store.locations import uploads_folder

MAX_SHOWN = 20
LABELS = {"compare": "comparing", "copy": "copying", "verify": "verifying"}


@dataclass(frozen=True)
class Place:
    """A store: a Milvus server, or Milvus Lite in a data directory. Uploads are in the data directory in both cases."""

    uri: str
    token: str
    data: Path

    @property
    def shown(self) -> str:
        """The URI or the data directory, without secrets."""
        return self.uri or str(self.data)


@dataclass(frozen=True)
class CopyReport:
    """The result of a copy. `found` is the sum of `copied`, `skipped` (there already) and `kept` (newer in the target).

    `verified` rows were read back and compared with their vectors. `uploads` rows belong to uploaded images: `files` of
    their files were copied, and the files of `missing` are gone.
    """

    collection: str
    source: str
    copy: str
    target: str
    model: str
    found: int
    copied: int
    skipped: int
    kept: int
    verified: int
    uploads: int
    files: int
    missing: list[str]
    seconds: float
    rows_per_second: float


@click.command()
@click.argument("collection")
@click.argument("new_name", required=False)
@click.option("--to", "target", metavar="PLACE", help="Where to copy to (default: the store of the settings).")
@click.option("--from", "source", metavar="PLACE", help="Where to copy from (default: the store of the settings).")
@click.option("--to-token-env", metavar="VARIABLE", help="The environment variable with the token for --to.")
@click.option("--from-token-env", metavar="VARIABLE", help="The environment variable with the token for --from.")
@click.option("--merge", is_flag=True, help="Copy into a collection that has other rows already.")
@json_option
def copy(
    collection: str,
    new_name: str | None,
    target: str | None,
    source: str | None,
    to_token_env: str | None,
    from_token_env: str | None,
    merge: bool,
    as_json: bool,
) -> None:
    """Copy COLLECTION (as NEW_NAME, if given) to another store or within one, without computing vectors again.

    PLACE is http(s)://HOST:PORT of a Milvus server, or a data directory such as LOOKALIKE_DATA. Tokens are read from
    the environment: LOOKALIKE_MILVUS_TOKEN for the server of LOOKALIKE_MILVUS_URI, the given VARIABLE for others.

    Rows that the target already has are not sent again: after Ctrl-C or a failure, the same command continues the copy.
    Rows that were indexed later in the target are kept. At the end all ids are compared, and a sample of rows with
    their vectors. The files of uploaded images are copied too; images in folders stay where they are, and thumbnails
    are made again on demand.
    """
    settings = settings_with()
    places = _place(source, "--from", from_token_env, settings), _place(target, "--to", to_token_env, settings)
    name = new_name or collection
    if _same(*places) and name == collection:
        raise UsageError("a copy within one store needs a name of its own: give NEW_NAME, --to or --from")
    with _stores(*places, settings) as (here, there):
        original = _original(here, collection, places[0])
        copied = open_target(there, name, original)
        report = _copy(original, copied, places, merge)
    print_json(report) if as_json else _print(report, places[1])


def _place(text: str | None, option: str, variable: str | None, settings: Settings) -> Place:
    """Return the store that an option gives."""
    token = _token(variable, f"{option}-token-env")
    if text is None or text == settings.milvus_uri:
        return Place(settings.milvus_uri, settings.milvus_token if token is None else token, settings.data)
    if "://" not in text:
        return Place("", "", Path(text))
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"{option} takes http(s)://HOST:PORT or a data directory")
    if parts.username is not None:
        raise UsageError(
            f"{option} takes no user or password: give an environment variable that holds them with {option}-token-env"
        )
    return Place(text, token or "", settings.data)


def _token(variable: str | None, option: str) -> str | None:
    if variable is None:
        return None
    if not os.environ.get(variable):
        raise UsageError(f"{option}: the environment variable {variable} is not set")
    return os.environ[variable]


def _same(source: Place, target: Place) -> bool:
    same_uri = source.uri.rstrip("/") == target.uri.rstrip("/")
    return same_uri and (bool(source.uri) or source.data.resolve() == target.data.resolve())


@contextmanager
def _stores(source: Place, target: Place, settings: Settings) -> Iterator[tuple[Store, Store]]:
    """Open both stores, or one if they are the same. Raises NotFound if the first does not exist."""
    if not source.uri and not (source.data / "milvus").is_dir():
        raise NotFound(f"there is no collection in {source.data}: give the data directory that holds it with --from")
    with ExitStack() as stack:
        here = stack.enter_context(_opened(source, settings))
        yield here, here if _same(source, target) else stack.enter_context(_opened(target, settings))


def _opened(place: Place, settings: Settings) -> Store:
    return open_store(place.uri, place.token, place.data, settings.milvus_timeout)


def _original(store: Store, name: str, place: Place) -> Collection:
    try:
        return store.open(name)
    except NotFound as error:
        names = ", ".join(info.name for info in store.collections()) or "none"
        message = f"there is no collection {name!r} in {place.shown}; there are: {names}"
        raise NotFound(message, field="collection") from error


def _copy(original: Collection, copied: Collection, places: tuple[Place, Place], merge: bool) -> CopyReport:
    """Copy with a progress bar and return the report."""
    source, target = (uploads_folder(p.data, c.name) for p, c in zip(places, (original, copied), strict=True))
    uploads = None if source.resolve() == target.resolve() else Uploads(source, target)
    began = time.perf_counter()
    with CopyBar() as bar:
        try:
            progress = copy_rows(original, copied, uploads, merge, bar.show)
        except KeyboardInterrupt:
            bar.close()
            click.echo(f"stopped while {bar.where}; the same command continues from there", err=True)
            raise
    seconds = time.perf_counter() - began
    return CopyReport(
        collection=original.name,
        source=places[0].shown,
        copy=copied.name,
        target=places[1].shown,
        model=copied.model.name,
        found=progress.found,
        copied=progress.copied,
        skipped=progress.skipped,
        kept=progress.kept,
        verified=progress.verified,
        uploads=progress.uploads,
        files=progress.files,
        missing=progress.missing,
        seconds=round(seconds, 3),
        rows_per_second=round(progress.copied / seconds, 1),
    )


class CopyBar:
    """The progress bar of one copy, which starts again at each stage; a context manager."""

    def __init__(self) -> None:
        self.where = "opening"
        self._stage = ""
        self._bar = progress_bar(0, "", "rows")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, progress: CopyProgress) -> None:
        """Bring the bar up to date."""
        label = LABELS[progress.stage]
        if self._stage != progress.stage:
            self._stage = progress.stage
            self._bar.reset(progress.total)
            self._bar.set_description(label, refresh=False)
        self._bar.update(progress.done - self._bar.n)
        self.where = f"{label}, {progress.done:,} of {plural(progress.total, 'row')} done"

    def close(self) -> None:
        """Clear the bar."""
        self._bar.close()


def _print(report: CopyReport, target: Place) -> None:
    click.echo(
        f"{report.collection} in {report.source} -> {report.copy} in {report.target}: "
        f"{plural(report.found, 'row')} found, {report.copied:,} copied, {report.skipped:,} there already, "
        f"{report.kept:,} newer there in {report.seconds:.1f} s ({report.rows_per_second:,.0f} rows/s); "
        f"all have arrived, {report.verified:,} were compared with their vectors"
    )
    if not report.uploads:
        return
    folder = uploads_folder(target.data, report.copy)
    elsewhere = "; a service on another machine needs that folder too" if target.uri else ""
    click.echo(f"  {plural(report.uploads, 'uploaded image')}, whose files are in {folder}{elsewhere}")
    if report.missing:
        named = ", ".join(report.missing[:MAX_SHOWN]) + (", ..." if len(report.missing) > MAX_SHOWN else "")
        click.echo(f"  files that are gone: {len(report.missing):,} ({named})", err=True)
