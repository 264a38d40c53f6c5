"""Indexing end to end on a device against the usual loop on it, side by side."""

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.common import Bench
from benchmarks.indexing import index, usual_loop, warm_up
from embeddings.embedder import Embedder
from embeddings.models.model import Model
from embeddings.settings import read_settings
from indexer.sources.base import Reference
from indexer.sources.folder import Folder
from store import open_store


def compared(folder: Path, device: torch.device, model: str, rounds: int) -> dict[str, Any]:
    """Return images a second of both, and the ratio of the medians."""
    source = Folder(folder)
    files = [source.shown(item.path) for item in source.references() if isinstance(item, Reference)]
    usual, ours = [], []
    with TemporaryDirectory() as place:
        changes = {"data": Path(place), "model": model, "engine": "torch", "device": device.type, "milvus_uri": ""}
        settings = read_settings().model_copy(update=changes)
        store = open_store("", "", settings.data, settings.milvus_timeout)
        with store, Embedder(settings) as embedder:
            bench = Bench(settings, store, embedder)
            warm_up(bench, files)
            network = Model(model, settings.data).network.trunk.to(device)
            usual_loop(files[:32], network, device.type)
            for number in range(rounds):
                usual.append(len(files) / usual_loop(files, network, device.type))
                ours.append(len(files) / index(source, bench, f"round{number}"))
            name = embedder.engine.name
    return {
        "images": len(files),
        "engine": name,
        "usual_loop_images_per_second": [round(rate, 1) for rate in usual],
        "lookalike_images_per_second": [round(rate, 1) for rate in ours],
        "ratio_of_medians": round(statistics.median(ours) / statistics.median(usual), 2),
    }
