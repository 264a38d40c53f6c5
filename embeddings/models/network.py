"""Loads timm architectures with weights from the hub, from a package or from a file."""

import difflib
import hashlib
import logging
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from timm.data import ImageNetInfo, infer_imagenet_subset, resolve_model_data_config
from timm.models import load_state_dict

from embeddings.errors import ModelError

CHECKPOINT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


class Network(torch.nn.Module):
    """A CNN from pixels to vectors: normalisation, trunk, pooling and classifier in one graph.

    `forward` takes uint8 [n, height, width, 3] RGB and returns float32 vectors [n, dimension], L2-normalised, and,
    unless the model is headless, float32 logits [n, classes].
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, trunk: Any, config: Mapping[str, Any]) -> None:
        """Wrap a timm model with its resolved data config."""
        super().__init__()
        self.trunk: Any = trunk  # timm's methods are not torch's
        self.config = dict(config)
        self.classes = int(trunk.num_classes)
        self.dtype = torch.float32
        self.register_buffer("mean", torch.tensor(config["mean"], dtype=torch.float32) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(config["std"], dtype=torch.float32) * 255, persistent=False)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """See the class."""
        images = ((pixels.to(torch.float32) - self.mean) / self.std).permute(0, 3, 1, 2).to(self.dtype)
        features = self.trunk.forward_features(images)
        vectors = self.trunk.forward_head(features, pre_logits=True).flatten(1).to(torch.float32)
        vectors = torch.nn.functional.normalize(vectors, dim=1)
        if not self.classes:
            return (vectors,)
        return vectors, self.trunk.forward_head(features).to(torch.float32)

    def cast(self, dtype: torch.dtype) -> "Network":
        """Have the trunk compute in a precision from now on; normalisation stays in float32. Return the network."""
        self.trunk.to(dtype)
        self.dtype = dtype
        return self


def pretrained(name: str) -> Network:
    """Return a timm model with its weights from the hub.

    Raises ModelError if the model does not exist, or its weights are neither on this machine nor available.
    """
    if not name.startswith("hf-hub:"):
        _check_name(name)
        if not timm.is_model_pretrained(name):
            raise ModelError(f"timm has no weights for {name}: give your own as {name.split('.')[0]}@FILE.safetensors")
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        return _network(timm.create_model(name, pretrained=True))
    except OSError as error:
        raise ModelError(
            f"the weights of {name} are not on this machine and the model hub does not give them: "
            "connect once to fetch them, use the packaged tf_efficientnet_lite0, or give ARCHITECTURE@FILE.safetensors"
        ) from error
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"timm cannot load {name}: {_first_line(error)}") from error


def with_tensors_in_order(name: str, path: Path) -> Network:
    """Return a timm model with weights of a file whose tensors have other names but the model's order."""
    trunk: Any = timm.create_model(name)
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    trunk.load_state_dict(dict(zip(trunk.state_dict(), tensors.values(), strict=True)))
    return _network(trunk)


def from_checkpoint(architecture: str, path: Path) -> Network:
    """Return a timm architecture with the weights of a local file (.safetensors, or .pth with weights only).

    The number of classes is that of the file's classifier; a file without one gives a headless model.
    Raises ModelError if the architecture is unknown, or the file is missing, damaged or of another shape.
    """
    _check_name(architecture)
    tensors = _read_checkpoint(path)
    default: Any = timm.create_model(architecture)
    classifier = default.pretrained_cfg.get("classifier")
    head = tensors.get(f"{classifier}.weight") if isinstance(classifier, str) else None
    trunk: Any = timm.create_model(architecture, num_classes=0 if head is None else len(head))
    fault = _misfit(trunk.state_dict(), tensors)
    if fault:
        raise ModelError(f"the weights in {path} do not fit {architecture}: {fault}")
    trunk.load_state_dict(tensors)
    return _network(trunk)


def untrained(name: str) -> Network:
    """Return a timm model with random weights, for measuring its speed."""
    _check_name(name)
    return _network(timm.create_model(name))


def class_names(network: Network, path: Path | None) -> tuple[tuple[str, str], ...]:
    """Return (key, name) of every class: the key is the WordNet id where the label set has one, else the name.

    The names of a checkpoint's own classes are read from `FILE.labels.txt` beside it, one per line.
    """
    if not network.classes:
        return ()
    labels = path.with_suffix(".labels.txt") if path else None
    if labels and labels.is_file():
        names = labels.read_text(encoding="utf-8").splitlines()
        if len(names) != network.classes:
            raise ModelError(f"{labels} has {len(names)} names, but the model has {network.classes} classes")
        return tuple((name, name) for name in names)
    config = getattr(network.trunk, "pretrained_cfg", {})
    if config.get("label_names") and len(config["label_names"]) == network.classes:
        described = config.get("label_descriptions") or {}
        return tuple((name, described.get(name, name).split(",")[0]) for name in config["label_names"])
    subset = infer_imagenet_subset(network.trunk)
    if subset is None:
        return tuple((f"class {i}", f"class {i}") for i in range(network.classes))
    info = ImageNetInfo(subset)
    return tuple(
        (info.index_to_label_name(i), info.index_to_description(i).split(",")[0]) for i in range(network.classes)
    )


def weights_digest(network: Network) -> str:
    """Return the SHA-256 of all tensors with their names; it does not depend on the file format."""
    digest = hashlib.sha256()
    for name, tensor in network.trunk.state_dict().items():
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def dimension(network: Network) -> int:
    """Return the length of the network's vectors, found by running it once."""
    _, height, width = network.config["input_size"]
    with torch.inference_mode():
        return int(network(torch.zeros(1, height, width, 3, dtype=torch.uint8))[0].shape[1])


def nearest_names(name: str) -> list[str]:
    """Return the timm models with the names most similar to `name`."""
    base, _, tag = name.partition(".")
    candidates = timm.list_models(pretrained=True) if tag else timm.list_models()
    return difflib.get_close_matches(name if tag else base, candidates, n=3, cutoff=0.5)


def _check_name(name: str) -> None:
    base, _, tag = name.partition(".")
    exists = timm.is_model(base) and (not tag or name in timm.list_pretrained(f"{base}.*"))
    if not exists:
        near = nearest_names(name) or nearest_names(base)
        hint = f"; did you mean {', '.join(near)}?" if near else "; `lookalike models` lists recommended ones"
        raise ModelError(f"timm has no model {name!r}{hint}", field="model")


def _network(trunk: Any) -> Network:
    config = resolve_model_data_config(trunk)
    if config["input_size"][0] != 3:
        raise ModelError(f"the model takes images of {config['input_size'][0]} channels, but lookalike gives RGB")
    return Network(trunk, config).eval().requires_grad_(False)


def _read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix not in CHECKPOINT_SUFFIXES:
        raise ModelError(f"{path} is not a weights file: its name must end in {', '.join(CHECKPOINT_SUFFIXES)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error below tells what is wrong with a pickle
            tensors = load_state_dict(str(path), weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"there is no weights file {path}") from error
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        AttributeError,
        KeyError,
    ) as error:
        raise ModelError(f"{path} is damaged or holds more than plain weights: {_first_line(error)}") from error
    if not all(isinstance(t, torch.Tensor) for t in tensors.values()):
        raise ModelError(f"{path} does not hold the tensors of one model")
    return tensors


def _misfit(wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> str:
    """Return how a file's tensors differ from the model's in name and shape; '' if they fit."""
    missing = [k for k in wanted if k not in given]
    unknown = [k for k in given if k not in wanted]
    other = [k for k in wanted if k in given and wanted[k].shape != given[k].shape]
    faults = []
    if missing:
        faults.append(f"{len(missing)} tensors are missing (first: {missing[0]})")
    if unknown:
        faults.append(f"{len(unknown)} are unknown to it (first: {unknown[0]})")
    if other:
        k = other[0]
        shapes = f"{k} is {list(given[k].shape)}, not {list(wanted[k].shape)}"
        faults.append(f"{len(other)} have another shape (first: {shapes})")
    return ", ".join(faults)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
