"""How OpenVINO is best fed on this processor: shapes and streams, side by side in one run.

    python -m benchmarks.engines [--rounds 5]

Images a second of the network alone, medians over alternating rounds. `free shape, all cores` is what one gets without
thinking: batches of 32 with a dynamic batch dimension in one stream. The engine uses `fixed 2, a stream a core`.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.common import write_results
from embeddings.engines.openvino_engine import OpenVinoEngine, openvino
from embeddings.models.model import Model
from embeddings.settings import read_settings

IMAGES = 256
Run = Callable[[np.ndarray], None]


def main() -> None:
    """Measure every variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    name = read_settings().model
    with TemporaryDirectory() as folder:
        model = Model(name, Path(folder))
        engine = OpenVinoEngine(model, "auto")  # converts the network
        (path,) = model.directory.glob("openvino-*/network.xml")
        hint = "bf16" if engine.name.endswith("bf16") else "f32"
        variants = {
            "free shape, all cores, batch 32": (variant(path, hint, None, "LATENCY"), 32),
            "fixed 32, all cores": (variant(path, hint, 32, "LATENCY"), 32),
            "fixed 1, a stream a core": (variant(path, hint, 1, "THROUGHPUT"), 1),
            "fixed 2, a stream a core": (variant(path, hint, 2, "THROUGHPUT"), 2),
            "fixed 4, a stream a core": (variant(path, hint, 4, "THROUGHPUT"), 4),
            "fixed 8, a stream a core": (variant(path, hint, 8, "THROUGHPUT"), 8),
            "fixed 32, a stream a core": (variant(path, hint, 32, "THROUGHPUT"), 32),
        }
        rates: dict[str, list[float]] = {key: [] for key in variants}
        for _ in range(rounds):
            for key, (run, batch) in variants.items():
                rates[key].append(rate(run, batch, model))
    medians = {key: round(statistics.median(values), 1) for key, values in rates.items()}
    first = next(iter(medians.values()))
    ratios = {key: round(value / first, 2) for key, value in medians.items()}
    write_results("engines", {"model": name, "engine": engine.name, "images_per_second": medians, "ratio": ratios})


def variant(path: Path, precision: str, batch: int | None, hint: str) -> Run:
    """Return a function that runs the network on a whole number of batches."""
    core = openvino.Core()
    graph = core.read_model(path)
    if batch:
        graph.reshape([batch, *list(graph.input().partial_shape)[1:]])
    compiled = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": hint})
    queue = openvino.AsyncInferQueue(compiled, compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

    def run(pixels: np.ndarray) -> None:
        step = batch or 32
        for start in range(0, len(pixels), step):
            queue.start_async([pixels[start : start + step]])
        queue.wait_all()

    return run


def rate(run: Run, batch: int, model: Model) -> float:
    """Return images a second."""
    spec = model.card.spec
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, spec.height, spec.width, 3), dtype=np.uint8)
    run(pixels[: 2 * batch])
    began = time.perf_counter()
    run(pixels)
    return IMAGES / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
