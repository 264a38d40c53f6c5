"""How collections are called: the name people use, the name in the store, and what the store says of the model."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from embeddings.errors import ModelMismatch, UsageError
from embeddings.models.identity import ModelIdentity

SCHEMA_VERSION = 1
DESCRIPTION = "lookalike"
AXES = "lookalike_axes"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_FINGERPRINT_ENDING = re.compile(r"_[0-9a-f]{12}$")


@dataclass(frozen=True)
class CollectionDescription:
    """What a collection says of itself: the space of its vectors, and the model they came from (`base`)."""

    model: ModelIdentity
    base: ModelIdentity

    @property
    def compact(self) -> bool:
        """Whether there is a projection between the two."""
        return self.model != self.base


def check_name(name: str) -> None:
    """Raise UsageError unless `name` can be a collection of a user."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"the collection name {name!r} is not possible: use a letter, then up to 99 letters, digits or underscores",
            field="collection",
        )
    if _FINGERPRINT_ENDING.search(name):
        raise UsageError(
            f"the collection name {name!r} is not possible: an underscore and 12 hexadecimal digits at the end "
            "stand for a model",
            field="collection",
        )


def real_name(name: str, model: ModelIdentity) -> str:
    """Return the name in the store: vectors of two models never meet."""
    return f"{name}_{model.fingerprint}"


def axes_name(name: str, model: ModelIdentity) -> str:
    """Return where the projection of a compact collection is kept; no user's collection can be called so."""
    return f"{axes_prefix(name)}{model.fingerprint}"


def axes_prefix(name: str) -> str:
    """Return how the collections that keep the projections of `name` begin; their fingerprint follows."""
    return f"{name}_axes_"


def is_real_name(real: str, name: str) -> bool:
    """Return whether `real_name` gives this for `name` and some model."""
    return real.startswith(f"{name}_") and _FINGERPRINT_ENDING.fullmatch(real, len(name)) is not None


def description(model: ModelIdentity, base: ModelIdentity | None = None) -> str:
    """Return what is written to a collection about its vectors: their space, and the model they were projected from."""
    written = {DESCRIPTION: SCHEMA_VERSION, **_written(model)}
    return json.dumps(written if base is None else {**written, "projected_from": _written(base)})


def axes_description() -> str:
    """Return what is written to a collection that keeps a projection."""
    return json.dumps({AXES: SCHEMA_VERSION})


def read_description(text: str) -> CollectionDescription | None:
    """Return what `description` wrote, or None for a collection that has no rows of ours."""
    try:
        written = json.loads(text)
        if written[DESCRIPTION] != SCHEMA_VERSION:
            return None
        model = _read(written)
        return CollectionDescription(model, _read(written["projected_from"]) if "projected_from" in written else model)
    except (ValueError, KeyError, TypeError):
        return None


def check_model(name: str, made: CollectionDescription, asked: ModelIdentity) -> None:
    """Raise ModelMismatch, which says what to do, unless the collection takes the vectors of the model `asked`."""
    if asked.fingerprint in (made.model.fingerprint, made.base.fingerprint):
        return
    made_with = made.base
    if made_with.name == asked.name:
        message = (
            f"the collection {name!r} was made with other weights or settings of {asked.name} "
            f"({made_with.fingerprint}, now {asked.fingerprint}): "
            "take those again, or index into another collection with --collection"
        )
    else:
        message = (
            f"the collection {name!r} was made with the model {made_with.name}, not {asked.name}: use "
            f"--model {made_with.name} (or LOOKALIKE_MODEL), or index into another collection with --collection"
        )
    raise ModelMismatch(message, field="collection")


def _written(model: ModelIdentity) -> dict[str, str | int]:
    return {"model": model.name, "fingerprint": model.fingerprint, "dimension": model.dimension}


def _read(written: Mapping[str, Any]) -> ModelIdentity:
    return ModelIdentity(str(written["model"]), str(written["fingerprint"]), int(written["dimension"]))
