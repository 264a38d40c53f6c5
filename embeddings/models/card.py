"""The model card: facts about a model that are known without loading it."""

import json
from dataclasses import dataclass

from embeddings.imaging.geometry import InputSpec
from embeddings.models.identity import ModelIdentity

CARD_FORMAT = 1


@dataclass(frozen=True)
class ModelClass:
    """One class of a model's label set; `key` is its WordNet id where it has one, else its name."""

    key: str
    name: str


@dataclass(frozen=True)
class ModelCard:
    """Identity, input and classes of a model, and its number of parameters."""

    identity: ModelIdentity
    spec: InputSpec
    classes: tuple[ModelClass, ...]
    parameters: int


def card_from_json(text: str) -> ModelCard:
    """Return the card of a JSON text. Raises ValueError, KeyError or TypeError for a damaged one."""
    card = json.loads(text)
    spec = card["spec"] | {"fill": tuple(card["spec"]["fill"])}
    return ModelCard(
        ModelIdentity(**card["identity"]),
        InputSpec(**spec),
        tuple(ModelClass(**c) for c in card["classes"]),
        card["parameters"],
    )
