"""How OpenVINO is best fed on this processor: shapes and streams, side by side in one run.

    python -m benchmarks.indexing.engines [--rounds 5]

Images a second of the network alone, medians over alternating rounds. `free shape, all cores` is what one gets without
thinking: batches of 32 with a dynamic batch dimension in one stream. The engine uses `fixed 2, a stream a core`.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.reporting import arguments, in_turns, medians, write_results
from embeddings.engines.openvino_engine import OpenVinoEngine, openvino
from embeddings.models.model import Model
from embeddings.settings import read_settings

IMAGES = 256
FREE = "free shape, all cores, batch 32"
VARIANTS: dict[str, tuple[int | None, str]] = {  # fixed batch size, hint
    FREE: (None, "LATENCY"),
    "fixed 32, all cores": (32, "LATENCY"),
    **{f"fixed {batch}, a stream a core": (batch, "THROUGHPUT") for batch in (1, 2, 4, 8, 32)},
}


def main() -> None:
    """Measure every variant."""
    asked = arguments(__doc__, rounds=5)
    name = read_settings().model
    with TemporaryDirectory() as folder:
        model = Model(name, Path(folder))
        engine = OpenVinoEngine(model, "auto")  # converts the network
        (path,) = model.directory.glob("openvino-*/network.xml")
        hint = "bf16" if engine.name.endswith("bf16") else "f32"
        spec = model.card.spec
        pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, spec.height, spec.width, 3), dtype=np.uint8)
        ways = {key: partial(rate, variant(path, hint, *given), pixels) for key, given in VARIANTS.items()}
        found = medians(in_turns(ways, asked.rounds), 1)
    ratios = {key: round(value / found[FREE], 2) for key, value in found.items()}
    write_results("engines", {"model": name, "engine": engine.name, "images_per_second": found, "ratio": ratios})


def variant(path: Path, precision: str, batch: int | None, hint: str) -> Callable[[np.ndarray], None]:
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


def rate(run: Callable[[np.ndarray], None], pixels: np.ndarray) -> float:
    """Return images a second."""
    run(pixels[:64])  # warms up
    began = time.perf_counter()
    run(pixels)
    return len(pixels) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
