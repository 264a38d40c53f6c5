"""Indexing end to end against the usual loop, side by side in one run.

    python -m benchmarks.indexing FOLDER [--rounds 3]

The usual loop: PIL opens a file, timm's own transform makes a tensor, torch runs the same network eagerly in fp32 at
batch 32, and the vectors stay in memory. Ours does all that a user gets: listing, hashes, EXIF, vectors, tags, rows in
Milvus Lite, flushed. Both have their model loaded before the clock starts; rounds alternate, the medians are compared.
"""

import argparse
import statistics
import time
from pathlib import Path

import timm
import torch
from PIL import Image

from benchmarks.common import Bench, fresh, write_results
from embeddings.models.model import Model
from indexer.pipeline.index_source import index_source
from indexer.pipeline.lister import chunks
from indexer.pipeline.pipeline import Embeds
from indexer.sources.base import Reference
from indexer.sources.folder import Folder

BATCH = 32


def main() -> None:
    """Measure both and write the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    source = Folder(arguments.folder)
    files = [source.shown(item.path) for item in source.references() if isinstance(item, Reference)]
    usual, ours = [], []
    with fresh() as bench:
        warm_up(bench, files)
        network = Model(bench.settings.model, bench.settings.data).network.trunk
        for number in range(arguments.rounds):
            usual.append(len(files) / usual_loop(files, network))
            ours.append(len(files) / index(source, bench, f"round{number}"))
            print(f"round {number + 1}: usual loop {usual[-1]:.1f}/s, lookalike {ours[-1]:.1f}/s", flush=True)
        write_results(
            "indexing",
            {
                "folder": Path(source.root).name,
                "images": len(files),
                "model": bench.settings.model,
                "engine": bench.embedder.engine.name,
                "usual_loop_images_per_second": [round(rate, 1) for rate in usual],
                "lookalike_images_per_second": [round(rate, 1) for rate in ours],
                "ratio_of_medians": round(statistics.median(ours) / statistics.median(usual), 2),
            },
        )


def warm_up(bench: Bench, files: list[str]) -> None:
    """Load the model and start the decode processes."""
    bench.embedder.embed([Path(file).read_bytes() for file in files[:BATCH]])


def usual_loop(files: list[str], network: torch.nn.Module, device: str = "cpu") -> float:
    """Return the seconds the loop takes that most people write; the network is on the device."""
    config = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**config, is_training=False)
    began = time.perf_counter()
    vectors = []
    for batch in chunks(files, BATCH):
        images = torch.stack([transform(Image.open(file).convert("RGB")) for file in batch]).to(device)
        with torch.no_grad():
            features = network.forward_head(network.forward_features(images), pre_logits=True)
            vectors.append(torch.nn.functional.normalize(features, dim=1).cpu())
    assert sum(len(part) for part in vectors) == len(files)
    return time.perf_counter() - began


def index(source: Folder, bench: Bench, name: str, embeds: Embeds | None = None) -> float:
    """Return the seconds that indexing the folder into a new collection takes, by another embedder if one is given."""
    began = time.perf_counter()
    collection = bench.store.create(name, bench.embedder.identity)
    progress = index_source(
        source, collection, embeds or bench.embedder, bench.settings.max_bytes, prune=False, listener=lambda _: None
    )
    seconds = time.perf_counter() - began
    assert progress.failed == 0, progress.failures
    bench.store.drop(name)
    return seconds


if __name__ == "__main__":
    main()
