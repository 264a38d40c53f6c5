"""Indexing photos straight from cameras against decoding them at full size, side by side in one run.

    python -m benchmarks.big_photos FOLDER [--images 96] [--rounds 3]

JPEGs are decoded at the fraction of their size that the model needs. What that is worth is the ratio to `full_size`:
the same indexing, engine, batches and decode processes, only that pictures are decoded whole and then resized by Pillow
(benchmarks/full_size.py). The usual loop is that of benchmarks.indexing. FOLDER's photos are copied with different
bytes until there are as many as wanted. Models are loaded before the clock starts, rounds alternate, medians are
compared.
"""

import argparse
import statistics
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from benchmarks import full_size
from benchmarks.common import Bench, copies, fresh, write_results
from benchmarks.indexing import index, usual_loop, warm_up
from embeddings.decode_pool.pool import DecodeLimits, DecodePool
from embeddings.embedder import Embedder, Embedding
from embeddings.imaging.decode import Box, DecodedImage
from embeddings.models.model import Model
from embeddings.settings import Settings
from indexer.sources.base import Reference
from indexer.sources.folder import Folder


class FullSizePool(DecodePool):
    """The same processes, limits and hand-over with another function in them."""

    def submit(self, data: bytes, embedder: Embedder) -> Future[DecodedImage]:
        """Start decoding one picture at full size."""
        return self._run(full_size.decode, data, embedder.spec)


class FullSize:
    """An embedder (indexer.pipeline.pipeline.Embeds) that decodes at full size."""

    def __init__(self, embedder: Embedder, settings: Settings) -> None:
        limits = DecodeLimits(settings.max_bytes, settings.max_pixels, settings.decode_timeout, settings.decode_memory)
        self.pool = FullSizePool(limits, settings.decode_processes)
        self._embedder = embedder
        self.tagger = embedder.tagger

    def submit(self, data: bytes, box: Box | None = None) -> Future[DecodedImage]:
        """See Embeds."""
        return self.pool.submit(data, self._embedder)

    def finish(self, decoded: Sequence[DecodedImage]) -> Sequence[Embedding]:
        """See Embeds."""
        return self._embedder.finish(decoded)


def main() -> None:
    """Measure all three and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    originals = photos(Folder(arguments.folder))
    with TemporaryDirectory() as place, fresh() as bench:
        copies(originals, Path(place), arguments.images)
        rates = measured(Folder(Path(place)), bench, arguments.rounds)
        engine, model = bench.embedder.engine.name, bench.settings.model
    medians = {name: statistics.median(values) for name, values in rates.items()}
    write_results(
        "big_photos",
        {
            "folder": arguments.folder.name,
            "megapixels": sorted(megapixels(path) for path in originals),
            "images": arguments.images,
            "model": model,
            "engine": engine,
            "images_per_second": {name: [round(rate, 2) for rate in values] for name, values in rates.items()},
            "ratio_to_full_size": round(medians["lookalike"] / medians["full_size"], 2),
            "ratio_to_usual_loop": round(medians["lookalike"] / medians["usual_loop"], 2),
        },
    )


def measured(source: Folder, bench: Bench, rounds: int) -> dict[str, list[float]]:
    """Return images a second of each way, in turns."""
    files = [str(path) for path in photos(source)]
    warm_up(bench, files)
    network = Model(bench.settings.model, bench.settings.data).network.trunk
    rates: dict[str, list[float]] = {"lookalike": [], "full_size": [], "usual_loop": []}
    full = FullSize(bench.embedder, bench.settings)
    with full.pool:
        full.submit(Path(files[0]).read_bytes()).result()  # its processes start
        for number in range(rounds):
            rates["lookalike"].append(len(files) / index(source, bench, f"ours{number}"))
            rates["full_size"].append(len(files) / index(source, bench, f"full{number}", full))
            rates["usual_loop"].append(len(files) / usual_loop(files, network))
            print(
                f"round {number + 1}: { ({name: round(values[-1], 2) for name, values in rates.items()}) }", flush=True
            )
    return rates


def photos(source: Folder) -> list[Path]:
    """Return the files of a folder that may be pictures."""
    return [Path(source.shown(item.path)) for item in source.references() if isinstance(item, Reference)]


def megapixels(path: Path) -> float:
    """Return the millions of pixels of a picture."""
    with Image.open(path) as image:
        return round(image.width * image.height / 1e6, 1)


if __name__ == "__main__":
    main()
