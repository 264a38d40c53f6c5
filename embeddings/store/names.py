"""How collections are called: the name people use, the name in the store, and what the store says of the model."""

import json
import re

from embeddings.errors import ModelMismatch, UsageError
from embeddings.records import ModelIdentity

SCHEMA_VERSION = 1
DESCRIPTION = "lookalike"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_FINGERPRINT_ENDING = re.compile(r"_[0-9a-f]{12}$")


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


def description(model: ModelIdentity) -> str:
    """Return what is written to a collection about the model that made it."""
    written = {"model": model.name, "fingerprint": model.fingerprint, "dimension": model.dimension}
    return json.dumps({DESCRIPTION: SCHEMA_VERSION, **written})


def read_description(text: str) -> ModelIdentity | None:
    """Return the model that `description` wrote, or None for a collection that is not ours."""
    try:
        written = json.loads(text)
        if written[DESCRIPTION] != SCHEMA_VERSION:
            return None
        return ModelIdentity(str(written["model"]), str(written["fingerprint"]), int(written["dimension"]))
    except (ValueError, KeyError, TypeError):
        return None


def check_model(name: str, made_with: ModelIdentity, asked: ModelIdentity) -> None:
    """Raise ModelMismatch, which says what to do, unless both are the same model."""
    if made_with.fingerprint == asked.fingerprint:
        return
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
