"""`lookalike duplicates`: lists groups of duplicates and stores decisions about them."""

from collections.abc import Sequence
from typing import Any

import click

from api.schemas.duplicates import CopyOut, GroupOut
from api.schemas.serialize_duplicates import csv_lines, group_documents, json_parts
from cli.common import collection_option, json_option, plural, progress_bar, settings_with, store_of
from duplicates.decisions import Action, Decisions
from duplicates.evidence import Kind
from duplicates.review import Review
from duplicates.scan import ScanProgress, folder_of, scan
from embeddings.decode_pool.pool import DecodeLimits, DecodePool
from embeddings.errors import NotFound, UsageError
from embeddings.settings import Settings
from store.base import Collection
from store.image_files import ImageFiles

UNITS = {"reading": "images", "comparing": "buckets", "looking": "pairs"}
MEANING = {
    Kind.EXACT: "the same bytes",
    Kind.NEAR: "the same image, saved again, resized, cropped or lightly edited",
    Kind.SIMILAR: "different images that look alike",
}


@click.command()
@collection_option
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Show only groups of this kind.")
@click.option("--kept", is_flag=True, help="Also show groups of which you decided to keep all.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, one line per image.")
@click.option("--keep-all", metavar="GROUP", multiple=True, help="Keep all of GROUP and hide it; may be repeated.")
@click.option("--not-duplicates", metavar="GROUP", multiple=True, help="Never group the images of GROUP again.")
@click.option("--undo", metavar="GROUP", multiple=True, help="Delete the decision about GROUP.")
def duplicates(
    collection: str | None, kind: str | None, kept: bool, as_json: bool, as_csv: bool, **decided: Sequence[str]
) -> None:
    """Find duplicates in a collection, list them in groups, and suggest the best copy of each.

    exact: the same bytes. near: the same image, saved again, resized, mirrored, cropped a little or lightly edited.
    similar: different images that look alike. Only images that are new or changed since the last scan are compared.
    Ctrl-C stops the scan, and the next one continues from there. Nothing is deleted. Decisions hold for the contents of
    files, whatever their names.
    """
    if as_json and as_csv:
        raise UsageError("choose either --json or --csv")
    settings = settings_with(collection)
    with store_of(settings) as store:
        target = store.open(settings.collection)
        if any(decided.values()):
            _decide(target, settings, decided)
        else:
            _scan(target, settings)
            _print(Review(target, folder_of(settings.data)), target.name, kind, kept, (as_json, as_csv))


def _decide(target: Collection, settings: Settings, decided: dict[str, Sequence[str]]) -> None:
    folder = folder_of(settings.data)
    actions = {"keep_all": Action.KEEP_ALL, "not_duplicates": Action.NOT_DUPLICATES}
    for name, action in actions.items():
        for group_id in decided[name]:
            decision = Review(target, folder).decide(group_id, action)
            click.echo(f"{group_id}: {action.replace('_', ' ')} ({plural(len(decision.contents), 'content')})")
    for group_id in decided["undo"]:
        with Decisions(folder) as decisions:
            if not decisions.undo(target.name, group_id):
                raise NotFound(f"there is no decision about a group {group_id!r} in the collection {target.name}")
        click.echo(f"{group_id}: decision deleted")


def _scan(target: Collection, settings: Settings) -> None:
    """Scan for duplicates, with a progress bar for each stage on stderr."""
    image_files = ImageFiles(settings.data, settings.max_bytes)
    limits = DecodeLimits(settings.max_bytes, settings.max_pixels, settings.decode_timeout, settings.decode_memory)
    stages: dict[str, Any] = {}

    def listen(progress: ScanProgress) -> None:
        if progress.stage not in stages:
            for bar in stages.values():
                bar.close()
            stages[progress.stage] = progress_bar(progress.total, progress.stage, UNITS[progress.stage])
        bar = stages[progress.stage]
        if bar.total != progress.total:
            bar.reset(progress.total)
        bar.update(progress.done - bar.n)

    with DecodePool(limits, settings.decode_processes) as pool:
        try:
            scan(target, folder_of(settings.data), lambda row: image_files.read(target.name, row), pool, listen)
        except KeyboardInterrupt:
            click.echo("stopped; the next run continues from there", err=True)
            raise
        finally:
            for bar in stages.values():
                bar.close()


def _print(review: Review, name: str, kind: str | None, kept: bool, formats: tuple[bool, bool]) -> None:
    groups = review.groups(Kind(kind) if kind else None, kept)
    documents = group_documents(review, groups, name)
    as_json, as_csv = formats
    if as_json or as_csv:
        for text in json_parts(documents) if as_json else csv_lines(documents):
            click.echo(text, nl=False)
        return
    for document in documents:
        _print_group(document)
    counts = ", ".join(f"{sum(group.kind is kind for group in groups):,} {kind}" for kind in Kind)
    click.echo(f"{name}: {plural(len(groups), 'group')} ({counts})", err=not groups)


def _print_group(group: GroupOut) -> None:
    click.echo(f"{group.id}: {group.count:,} images, {MEANING[group.kind]}" + (" (kept)" if group.kept else ""))
    for image in sorted(group.images, key=lambda image: image.id != group.best):
        facts = _facts(image) + (", compared with" if image.id == group.reference else "")
        mark = f"  best ({group.best_because.replace('_', ' ')})" if image.id == group.best else ""
        click.echo(f"  {'*' if mark else ' '} {image.path}  {facts}{mark}")
    click.echo("")


def _facts(image: CopyOut) -> str:
    parts = [f"{image.width}x{image.height}", f"{image.bytes:,} bytes"]
    if image.taken_at:
        parts.append(f"{image.taken_at:%Y-%m-%d %H:%M}")
    if image.copies > 1:
        parts.append(plural(image.copies, "file"))
    if image.evidence:
        parts.append(f"score {image.evidence.score:.3f}, hash {image.evidence.phash_distance} bits")
        if image.evidence.pixels is not None:
            parts[-1] += f", pixels {image.evidence.pixels:.3f}"
        if image.evidence.mirrored:
            parts.append("mirrored")
    return ", ".join(parts)
