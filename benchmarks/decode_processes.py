"""Bulk indexing with as many decode processes as processors, and with more, side by side in one run.

    python -m benchmarks.decode_processes FOLDER [--rounds 15] [--spare 1]

Between two pictures a decode process waits for its parent, which the network and the store keep busy: with one more
process than processors there is something to decode meanwhile. Medians over rounds in turns, and the ratio of each
round's two rates.
"""

import argparse
import statistics
from pathlib import Path

from benchmarks.common import fresh, write_results
from benchmarks.indexing import BATCH, index
from embeddings.embedder import Embedder
from embeddings.machine import processors
from indexer.sources import Folder, Reference


def main() -> None:
    """Measure each number of processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--spare", type=int, default=1)
    arguments = parser.parse_args()
    source = Folder(arguments.folder)
    files = [source.shown(item.path) for item in source.references() if isinstance(item, Reference)]
    few, many = processors(), processors() + arguments.spare
    rates: dict[int, list[float]] = {few: [], many: []}
    with (
        fresh() as bench,
        Embedder(bench.settings.model_copy(update={"decode_processes": few})) as plain,
        Embedder(bench.settings.model_copy(update={"decode_processes": many})) as spare,
    ):
        embedders = {few: plain, many: spare}
        for embedder in embedders.values():
            embedder.embed([Path(file).read_bytes() for file in files[:BATCH]])
        for number in range(arguments.rounds):
            for processes in (few, many) if number % 2 else (many, few):
                rates[processes].append(len(files) / index(source, bench, "bulk", embedders[processes]))
        engine = plain.engine.name
    ratios = [more / less for less, more in zip(rates[few], rates[many], strict=True)]
    write_results(
        "decode_processes",
        {
            "folder": Path(source.root).name,
            "images": len(files),
            "engine": engine,
            "images_per_second": {
                f"{processes} processes": round(statistics.median(done), 1) for processes, done in rates.items()
            },
            "ratio": round(statistics.median(ratios), 3),
            "ratios": sorted(round(ratio, 3) for ratio in ratios),
        },
    )


if __name__ == "__main__":
    main()
