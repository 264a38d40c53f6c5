"""Indexing end to end against the usual loop, side by side in one run.

    python -m benchmarks.indexing.usual_loop FOLDER [--rounds 3] [--images N] [--full-size]

The usual loop: PIL opens a file, timm's own transform makes a tensor, torch runs the same network eagerly in fp32 at
batch 32, and the vectors stay in memory. Ours does all that a user gets: listing, hashes, EXIF, vectors, tags, rows in
Milvus Lite, flushed. Models are loaded before the clock starts; ways take turns, the medians are compared.

--images copies FOLDER's photos with different bytes until there are as many. --full-size, for photos straight from
cameras, adds our indexing with as many processes that decode pictures whole and then resize them by Pillow: the ratio
to it is what decoding a JPEG at the fraction of its size that the model needs is worth. Its results are `big_photos`.
"""

import io
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image, ImageOps

from benchmarks.common import Bench, copies, fresh, photos
from benchmarks.reporting import arguments, in_turns, ratio_of_medians, rounded, write_results
from embeddings.embedder import Embedder, Embedding
from embeddings.errors import ImageError
from embeddings.imaging.decode import DecodedImage
from embeddings.imaging.exif import taken_at
from embeddings.imaging.geometry import InputSpec, Orientation, crop_plan
from embeddings.imaging.phash import phash
from embeddings.models.model import Model
from embeddings.utils import processors
from indexer.pipeline.lister import chunks
from indexer.sources.folder import Folder

BATCH = 32


def main() -> None:
    """Measure the ways and write the ratios."""
    asked = arguments(__doc__, folder=Path, rounds=3, images=0, full_size=False)
    originals = photos(asked.folder)
    with TemporaryDirectory() as place, fresh() as bench:
        if asked.images:
            copies(originals, Path(place), asked.images)
        results = compared(Path(place) if asked.images else asked.folder, bench, asked.rounds, asked.full_size)
        if asked.full_size:
            results["megapixels"] = sorted(megapixels(path) for path in originals)
        write_results("big_photos" if asked.full_size else "indexing", bench.facts(asked.folder) | results)


def compared(folder: Path, bench: Bench, rounds: int, full_size: bool) -> dict[str, Any]:
    """Return images a second of each way, and ratios."""
    files, source = photos(folder), Folder(folder)
    warm_up(bench, files)
    network = Model(bench.settings.model, bench.settings.data).network.trunk
    ways: dict[str, Callable[[], float]] = {
        "usual_loop": lambda: len(files) / usual_loop(files, network),
        "lookalike": lambda: len(files) / bench.timed_index(source),
    }
    with ProcessPoolExecutor(bench.settings.decode_processes or processors(), get_context("spawn")) as executor:
        if full_size:
            embeds = FullSize(bench.embedder, executor)
            [f.result() for f in [embeds.submit_group([file.read_bytes()]) for file in files[:BATCH]]]  # they start
            ways["full_size"] = lambda: len(files) / bench.timed_index(source, embeds=embeds)
        rates = in_turns(ways, rounds)
    results = {
        "images": len(files),
        "images_per_second": rounded(rates),
        "ratio_of_medians": ratio_of_medians(rates["lookalike"], rates["usual_loop"]),
    }
    if full_size:
        results["ratio_to_full_size"] = ratio_of_medians(rates["lookalike"], rates["full_size"])
    return results


class FullSize:
    """An embedder (indexer.pipeline.pipeline.Embeds) that decodes at full size."""

    def __init__(self, embedder: Embedder, executor: ProcessPoolExecutor) -> None:
        self._embedder, self._executor = embedder, executor
        self.tagger = embedder.tagger

    @property
    def batch(self) -> int:
        """See Embeds."""
        return self._embedder.batch

    def submit_group(self, files: Sequence[bytes]) -> Future[list[DecodedImage | ImageError]]:
        """See Embeds."""
        return self._executor.submit(decode_group, files, self._embedder.spec)

    def finish(self, decoded: Sequence[DecodedImage]) -> Sequence[Embedding]:
        """See Embeds."""
        return self._embedder.finish(decoded)


def decode_group(files: Sequence[bytes], spec: InputSpec) -> list[DecodedImage | ImageError]:
    """Decode several files."""
    return [decode_whole(data, spec) for data in files]


def decode_whole(data: bytes, spec: InputSpec) -> DecodedImage:
    """Do as embeddings.imaging.decode.decode, at full size, for a picture that fills the model's crop.

    The perceptual hash is taken of the small picture, which costs this way of decoding next to nothing.
    """
    opened = Image.open(io.BytesIO(data))
    opened.load()
    taken = taken_at(opened)
    image = ImageOps.exif_transpose(opened).convert("RGB")
    plan = crop_plan(image.width, image.height, spec)
    small = image.resize(plan.size, spec.resampling, box=plan.source)
    return DecodedImage(np.asarray(small), image.width, image.height, phash(small, Orientation()), taken)


def warm_up(bench: Bench, files: Sequence[Path | str]) -> None:
    """Load the model and start the decode processes."""
    bench.embedder.embed([Path(file).read_bytes() for file in files[:BATCH]])


def usual_loop(files: Sequence[Path | str], network: torch.nn.Module, device: str = "cpu") -> float:
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


def megapixels(path: Path) -> float:
    """Return the millions of pixels of a picture."""
    with Image.open(path) as image:
        return round(image.width * image.height / 1e6, 1)


if __name__ == "__main__":
    main()
