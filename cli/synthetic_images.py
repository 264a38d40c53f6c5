"""Generates images to measure with where there are no photos."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def make_images(folder: Path, count: int) -> Path:
    """Write JPEGs of 500 x 375 pixels that cost about as much to decode as photos of that size; return the folder."""
    folder.mkdir(parents=True)
    for i in range(count):
        random = np.random.default_rng(i)
        coarse = Image.fromarray(random.integers(0, 256, (8, 10, 3), dtype=np.uint8)).resize((500, 375), 3)
        noisy = np.asarray(coarse) + random.normal(0, 12, (375, 500, 1))
        file = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
        (folder / f"{i:04}.jpg").write_bytes(file.getvalue())
    return folder
