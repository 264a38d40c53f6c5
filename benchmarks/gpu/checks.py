"""Whether the engine on a device says what the processor says, and keeps its memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from embeddings.embedder import BATCH
from embeddings.engines.base import EngineOutput
from embeddings.engines.cuda_engine import CudaEngine
from embeddings.engines.torch_engine import TorchEngine
from embeddings.imaging.decode import decode
from embeddings.models.model import Model
from embeddings.tagging.calibration import temperature
from embeddings.tagging.open_set import open_set_gate
from embeddings.tagging.tagger import Tagger

IMAGES = 64
LEAST = {"fp32": 0.999, "fp16": 0.99, "bf16": 0.99}


def checked(files: Sequence[bytes], device: torch.device, model: Model, batches: int) -> dict[str, Any]:
    """Return the agreement of each precision with fp32 on the processor, and the memory before and after `batches`."""
    spec = model.card.spec
    pixels = np.stack([decode(file, spec, max_pixels=10**9).pixels for file in files[:IMAGES]])
    wanted = TorchEngine(model, "fp32").run(pixels)
    results: dict[str, Any] = {}
    for precision, least in LEAST.items():
        engine = CudaEngine(model, device, precision)
        found = engine.run(pixels)
        cosine = float((found.vectors * wanted.vectors).sum(axis=1).min())
        same = [a == b for a, b in zip(tags(model, found), tags(model, wanted), strict=True)]
        results[precision] = {
            "least_cosine": round(cosine, 5),
            "enough": cosine >= least,
            "images_with_the_same_tags": f"{sum(same)} of {len(same)}",
        }
    engine.run(pixels[:BATCH])  # makes what batches of this size need
    before = memory(device)
    for _ in range(batches):
        engine.run(pixels[:BATCH])
    return {**results, "batches": batches, "device_bytes_before_and_after": [before, memory(device)]}


def tags(model: Model, output: EngineOutput) -> list[list[str]]:
    """Return the names of the tags of each image."""
    fingerprint = model.card.identity.fingerprint
    nowhere = Path("/nonexistent")
    tagger = Tagger(model.card.classes, temperature(fingerprint, nowhere), 0.2, open_set_gate(fingerprint, nowhere))
    return [sorted(tag.name for tag in some) for some in tagger.tags(output.vectors, output.logits)]


def memory(device: torch.device) -> int:
    """Return the bytes that torch holds on the device."""
    return torch.cuda.memory_reserved(device) if device.type == "cuda" else 0
