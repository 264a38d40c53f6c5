import numpy as np
import pytest
from PIL import Image
from PIL.Image import Resampling
from support.pictures import photo

from embeddings.imaging.resize import FILTERS, resize


def difference(image: Image.Image, box: tuple[float, ...], size: tuple[int, int], resampling: Resampling) -> np.ndarray:
    wanted = image.resize(size, resampling, box=box, reducing_gap=2.0).convert("RGB")
    found = resize(image, box, size, resampling)  # type: ignore[arg-type]
    assert found.shape == (size[1], size[0], 3)
    return np.abs(found.astype(int) - np.asarray(wanted))


@pytest.mark.parametrize("resampling", Resampling)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_result_is_that_of_pillow(resampling: Resampling, mode: str):
    image = photo(300, 200).convert(mode)
    boxes = ((0, 0, 300, 200), (21.75, 10.3, 270.4, 199.9), (100, 0.5, 103, 4), (0, 190, 300, 200))
    sizes = ((224, 224), (100, 150), (90, 60), (7, 13), (600, 5))
    all_ = np.concatenate([difference(image, box, size, resampling).ravel() for box in boxes for size in sizes])
    assert all_.mean() < 0.02
    assert all_.max() <= 2


def test_sharp_edges_are_those_of_pillow():
    noise = np.random.default_rng(1).integers(0, 2, (199, 301, 3), np.uint8) * 255
    for resampling in FILTERS:
        differences = difference(Image.fromarray(noise), (0.1, 0.7, 300.9, 198.3), (224, 120), resampling)
        assert differences.mean() < 0.02
        assert differences.max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 3)])
def test_the_smallest_images_can_be_resized(size: tuple[int, int]):
    image = Image.new("RGB", size, (10, 20, 30))
    for resampling in FILTERS:
        assert (resize(image, (0, 0, *size), (5, 7), resampling) == (10, 20, 30)).all()
        part = resize(image, (size[0] - 0.3, size[1] - 0.7, *size), (5, 7), resampling)
        assert (part == (10, 20, 30)).all()


def test_parts_that_end_at_the_edge_are_inside():
    image = Image.new("RGB", (333, 77))
    for start in np.random.default_rng(2).uniform(0, 76, 200):
        assert resize(image, (start, start, 333.0, 77.0), (50, 50), Resampling.BICUBIC).shape == (50, 50, 3)
