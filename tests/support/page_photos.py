"""The folders that tests of the web page use: photos with dates and copies, damaged files, a large library."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import skimage
from PIL import Image
from PIL.ExifTags import Base

PACKAGED = Path(skimage.__file__).parent / "data"
DATES = {
    "astronaut": "2019:03:01",
    "camera": "2020:05:17",
    "chelsea": "2024:05:01",
    "coffee": "2024:05:02",
    "hubble_deep_field": "2021:11:30",
    "page": None,
    "retina": None,
    "rocket": "2015:02:11",
}
MANY = 300


def write_photos(folder: Path) -> None:
    """Write eight photos, most of them with a date, three copies, and one more photo."""
    folder.mkdir(parents=True)
    for name, day in DATES.items():
        (source,) = [path for path in PACKAGED.glob(f"{name}.*") if path.suffix in (".png", ".jpg")]
        exif = Image.Exif()
        if day:
            exif[Base.DateTime] = f"{day} 12:00:00"
        Image.open(source).convert("RGB").save(folder / f"{name}.jpg", quality=92, exif=exif)
    write_copies(folder)
    Image.open(PACKAGED / "motorcycle_left.png").convert("RGB").save(folder / "motorcycle.jpg")


def write_copies(folder: Path) -> None:
    """Write three copies of photos in the folder: one exact, one cropped, one small."""
    shutil.copy(folder / "coffee.jpg", folder / "coffee again.jpg")
    cat = Image.open(folder / "chelsea.jpg")
    cat.crop((6, 4, 445, 296)).save(folder / "chelsea cropped.jpg", quality=85)
    cat.resize((225, 150)).save(folder / "chelsea small.jpg", quality=85)


def write_more(folder: Path) -> None:
    """Write a library of three files: a valid image, a truncated one, and one that is not an image."""
    folder.mkdir(parents=True)
    Image.open(PACKAGED / "brick.png").convert("RGB").save(folder / "brick.jpg")
    whole = io.BytesIO()
    Image.open(PACKAGED / "grass.png").convert("RGB").save(whole, "JPEG")
    (folder / "cut off.jpg").write_bytes(whole.getvalue()[:3000])
    (folder / "no picture.jpg").write_bytes(b"rubbish " * 50)


def write_many(folder: Path, seed: int = 1) -> None:
    """Write a library that takes a while to index: small images, all different, and different for each seed."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for number in range(MANY):
        colours = random.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(colours).resize((512, 512)).save(folder / f"{number:04}.jpg")


def shots_folder(otherwise: Path) -> Path:
    """Return the folder of screenshots: LOOKALIKE_TEST_SCREENSHOTS, or `otherwise`."""
    folder = Path(os.environ.get("LOOKALIKE_TEST_SCREENSHOTS") or otherwise)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
