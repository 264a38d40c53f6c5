"""Names and descriptions of collections: the name users see, the real name in the engine, the model of the vectors."""

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
    """The space of a collection's vectors, and the model that they came from (`base`)."""

    model: ModelIdentity
    base: ModelIdentity

    @property
    def compact(self) -> bool:
        """True if a projection lies between the two."""
        return self.model != self.base


def check_name(name: str) -> None:
    """Raise UsageError unless `name` is valid for a user's collection."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"the collection name {name!r} is not possible: use a letter, then up to 99 letters, digits or underscores",
            field="collection",
        )
    if _FINGERPRINT_ENDING.search(name):
        raise UsageError(
            f"the collection name {name!r} is not possible: an underscore and 12 hexadecimal digits at the end "
            "are reserved for the model",
            field="collection",
        )


def real_name(name: str, model: ModelIdentity) -> str:
    """Return the name in the engine; it differs for each model, so that vectors of two models never mix."""
    return f"{name}_{model.fingerprint}"


def axes_name(name: str, model: ModelIdentity) -> str:
    """Return the collection that holds the projection of a compact one; no user's collection can have this name."""
    return f"{axes_prefix(name)}{model.fingerprint}"


def axes_prefix(name: str) -> str:
    """Return the beginning of the names of the collections that hold projections for `name`; a fingerprint follows."""
    return f"{name}_axes_"


def is_real_name(real: str, name: str) -> bool:
    """Return whether `real` is what `real_name` returns for `name` and some model."""
    return real.startswith(f"{name}_") and _FINGERPRINT_ENDING.fullmatch(real, len(name)) is not None


def write_description(model: ModelIdentity, base: ModelIdentity | None = None) -> str:
    """Return the text that describes a collection of vectors of `model`, which were projected from `base` if given."""
    values = {DESCRIPTION: SCHEMA_VERSION, **_identity_values(model)}
    return json.dumps(values if base is None else {**values, "projected_from": _identity_values(base)})


def axes_description() -> str:
    """Return the text that describes a collection that holds a projection."""
    return json.dumps({AXES: SCHEMA_VERSION})


def read_description(text: str) -> CollectionDescription | None:
    """Undo `write_description`; None for a collection that does not hold our rows."""
    try:
        values = json.loads(text)
        if values[DESCRIPTION] != SCHEMA_VERSION:
            return None
        model = _identity(values)
        return CollectionDescription(
            model, _identity(values["projected_from"]) if "projected_from" in values else model
        )
    except (ValueError, KeyError, TypeError):
        return None


def check_model(name: str, description: CollectionDescription, model: ModelIdentity) -> None:
    """Raise ModelMismatch, with advice, unless the collection accepts the vectors of `model`."""
    base = description.base
    if model.fingerprint in (description.model.fingerprint, base.fingerprint):
        return
    if base.name == model.name:
        message = (
            f"the collection {name!r} was made with other weights or settings of {model.name} "
            f"({base.fingerprint}, now {model.fingerprint}): "
            "use the earlier ones, or index into another collection with --collection"
        )
    else:
        message = (
            f"the collection {name!r} was made with the model {base.name}, not {model.name}: use "
            f"--model {base.name} (or LOOKALIKE_MODEL), or index into another collection with --collection"
        )
    raise ModelMismatch(message, field="collection")


def check_sibling(name: str, in_use: CollectionDescription, identity: ModelIdentity) -> None:
    """Raise UsageError if a sibling with this identity would replace the collection in use or its full vectors."""
    if identity.fingerprint in (in_use.model.fingerprint, in_use.base.fingerprint):
        raise UsageError(
            f"the collection {name!r} already has the vectors of {identity.name} ({identity.fingerprint})",
            field="collection",
        )


def _identity_values(model: ModelIdentity) -> dict[str, str | int]:
    return {"model": model.name, "fingerprint": model.fingerprint, "dimension": model.dimension}


def _identity(values: Mapping[str, Any]) -> ModelIdentity:
    return ModelIdentity(str(values["model"]), str(values["fingerprint"]), int(values["dimension"]))
