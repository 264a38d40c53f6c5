"""The model's input compared with timm's own evaluation transform."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from support.pictures import encoded, photo
from timm.data import create_transform

from embeddings.imaging.decode import InputSpec, decode

SPECS = [
    InputSpec(224, 224),
    InputSpec(288, 288, 1.0, "center", "bilinear"),
    InputSpec(224, 160, 0.9),
    InputSpec(224, 224, 0.95, "squash", "lanczos"),
    InputSpec(224, 224, 0.9, "border", fill=(124, 116, 104)),
]


def timms(image: Image.Image, spec: InputSpec) -> np.ndarray:
    transform = create_transform(
        (3, spec.height, spec.width),
        crop_pct=spec.crop_pct,
        crop_mode=spec.crop_mode,
        interpolation=spec.interpolation,
        mean=tuple(value / 255 for value in spec.fill),
        normalize=False,
    )
    return transform(image).permute(1, 2, 0).numpy()


def difference(data: bytes, spec: InputSpec) -> float:
    with Image.open(io.BytesIO(data)) as image:
        wanted = timms(ImageOps.exif_transpose(image).convert("RGB"), spec)
    return float(np.abs(decode(data, spec, max_pixels=10**8).pixels.astype(int) - wanted).mean())


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_pixels_are_those_of_timm(spec: InputSpec):
    for width, height in ((500, 375), (375, 500), (300, 300), (1000, 300), (100, 80)):
        assert difference(encoded(photo(width, height), "PNG"), spec) < 0.3


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_shrinking_while_a_jpeg_is_decoded_changes_little(spec: InputSpec):
    for width, height in ((1600, 1200), (1000, 2100)):
        assert difference(encoded(photo(width, height), "JPEG", quality=90), spec) < 1.5


def test_pixels_of_photos_are_those_of_timm(shared_data: Path):
    photos = sorted((shared_data / "photos/camera").iterdir())
    differences = [difference(path.read_bytes(), SPECS[0]) for path in photos]
    assert len(differences) >= 8
    assert np.mean(differences) < 1.5
