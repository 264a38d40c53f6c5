"""Shared by the commands: options, settings, JSON output, progress bars."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, Protocol

import click
from tqdm.std import tqdm  # `tqdm` itself imports its own command line

from embeddings.errors import UsageError
from embeddings.settings import Settings, read_settings
from store import open_store
from store.base import Store

collection_option = click.option(
    "--collection", metavar="NAME", help="Name of the collection (default: LOOKALIKE_COLLECTION, else photos)."
)
model_option = click.option(
    "--model",
    metavar="NAME",
    help="A timm name, hf-hub:..., or ARCHITECTURE@FILE.safetensors (default: LOOKALIKE_MODEL).",
)
headers_option = click.option(
    "--header",
    "headers",
    metavar="NAME:VALUE",
    multiple=True,
    help="HTTP header for the web servers of a URL list; may be repeated.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")


def settings_with(collection: str | None = None, model: str | None = None) -> Settings:
    """Return the settings of the environment, overridden by the command line."""
    changes = {"collection": collection, "model": model}
    return read_settings().model_copy(update={k: v for k, v in changes.items() if v is not None})


def headers_of(lines: Sequence[str]) -> dict[str, str]:
    """Return the headers of --header. Raises UsageError for a malformed one."""
    pairs = [line.partition(":") for line in lines]
    if not all(colon for _, colon, _ in pairs):
        raise UsageError("--header must have the form NAME:VALUE, such as 'Authorization: Bearer abc'")
    return {name.strip(): value.strip() for name, _, value in pairs}


def store_of(settings: Settings) -> Store:
    """Open the store that the settings name."""
    return open_store(settings.milvus_uri, settings.milvus_token, settings.data, settings.milvus_timeout)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(document, default=_plain, ensure_ascii=not _utf8(), indent=2))


def progress_bar(total: int, label: str, unit: str = "images") -> "tqdm[Any]":
    """Return a progress bar on stderr with rate and time left; it shows nothing if stderr is not a terminal."""
    return tqdm(total=total, desc=label, unit=f" {unit}", disable=None, dynamic_ncols=True, smoothing=0.1, leave=False)


def plural(number: int, thing: str) -> str:
    """Return '1 image' or '2,000 images'."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


class Named(Protocol):
    """A label or a tag."""

    @property
    def name(self) -> str: ...
    @property
    def confidence(self) -> float: ...


def in_words(labels: Iterable[Named]) -> str:
    """Return labels as 'tabby 93%, tiger cat 5%', without those that round to 0%."""
    shown = [f"{label.name} {label.confidence:.0%}" for label in labels if label.confidence >= 0.005]
    return ", ".join(shown) or "no tag sure enough"


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
