"""What of edited copies is found as near duplicates, and what else is taken for them.

    python -m benchmarks.duplicates.edits FOLDER [--every 1] [--half fit|test|all]

Each photo of the folder is indexed with seven copies: saved again at quality 30 and at a random one up to 95, resized
to 50%, cropped to 95% of both sides somewhere, made darker or brighter by 10 to 30%, mirrored, and with a caption.
Recall is the share of copies that come into one near group with their photo; precision the share of all pairs in near
groups that come from one photo. The limits in duplicates/alike.py were chosen on the photos of the half `fit` (whose
content hash begins with an even digit); what is reported of them is the half `test`.
"""

import hashlib
import io
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import partial
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from benchmarks.common import fresh
from benchmarks.duplicates.scale import timed_scan
from benchmarks.reporting import arguments, write_results
from duplicates import evidence
from duplicates.evidence import Kind
from duplicates.pair_store import PairStore
from duplicates.review import Review
from duplicates.scan import folder_of
from indexer.sources.folder import Folder
from store.base import Collection
from store.image_files import ImageFiles

ORIGINAL = "original"
MARK = "__"  # between the number of a photo and what was done to it
QUALITY = 90


class Half(StrEnum):
    """The photos that are taken."""

    FIT = "fit"
    TEST = "test"
    ALL = "all"


def main() -> None:
    """Make the copies, index them, look for duplicates and count."""
    asked = arguments(__doc__, folder=Path, every=1, half=Half.TEST)
    with TemporaryDirectory() as made, fresh() as bench:
        photos = make(asked.folder, Path(made), asked.every, asked.half)
        collection, _ = bench.index(Folder(Path(made)), "duplicates")
        image_files = ImageFiles(bench.settings.data, bench.settings.max_bytes)
        folder = folder_of(bench.settings.data)
        seconds = timed_scan(collection, folder, partial(image_files.read, collection.name), bench.embedder.pool)
        review = Review(collection, folder)
        groups = [[Path(copy.row.path).stem for copy in view.images] for view in review.show(review.groups(Kind.NEAR))]
        together = (pair for names in groups for pair in combinations(names, 2))
        limits = [name for name in dir(evidence) if name.startswith(("NEAR_", "BLIND_", "SIMILAR"))]
        write_results(
            f"duplicates-{asked.half}",
            {
                **bench.facts(asked.folder),
                "half": asked.half,
                "limits": {name: getattr(evidence, name) for name in limits},
                "photos": photos,
                "images": collection.count(),
                "seconds": seconds,
                "groups": {str(kind): len(review.groups(kind)) for kind in Kind},
                **judged(together, photos),
                "without_pixels": judged(without_pixels(folder, collection), photos),
            },
        )


def make(folder: Path, made: Path, every: int, half: Half) -> int:
    """Write each photo of the half and its copies; return the number of photos."""
    photos: dict[str, Path] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file())[::every]:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if half in (Half.ALL, Half.FIT if int(digest[0], 16) % 2 == 0 else Half.TEST):
            photos.setdefault(digest, path)
    for digest, path in photos.items():
        data = path.read_bytes()
        (made / f"{digest[:16]}{MARK}{ORIGINAL}.jpg").write_bytes(data)
        with Image.open(io.BytesIO(data)) as image:
            for name, copy in copies(ImageOps.exif_transpose(image).convert("RGB"), random.Random(digest)):
                (made / f"{digest[:16]}{MARK}{name}.jpg").write_bytes(copy)
    return len(photos)


def copies(image: Image.Image, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield the copies of a photo, by what was done to it."""
    width, height = image.size
    yield "quality 30", jpeg(image, 30)
    yield "quality 31 to 95", jpeg(image, chance.randint(31, 95))
    yield "half size", jpeg(image.resize((width // 2, height // 2), Image.Resampling.LANCZOS))
    across, down = round(width * 0.95), round(height * 0.95)
    left, top = chance.randint(0, width - across), chance.randint(0, height - down)
    yield "cropped by 5%", jpeg(image.crop((left, top, left + across, top + down)))
    factor = chance.choice([chance.uniform(0.7, 0.9), chance.uniform(1.1, 1.3)])
    yield "brightness", jpeg(ImageEnhance.Brightness(image).enhance(factor))
    yield "mirrored", jpeg(ImageOps.mirror(image))
    yield "caption", jpeg(captioned(image))


def captioned(image: Image.Image) -> Image.Image:
    """Return the photo with a line of text in a corner."""
    image = image.copy()
    size = max(10, image.height // 18)
    place = image.width * 0.04, image.height - 1.6 * size
    font = ImageFont.load_default(size)
    ImageDraw.Draw(image).text(place, "summer 2026", "white", font, stroke_width=1, stroke_fill="black")
    return image


def jpeg(image: Image.Image, quality: int = QUALITY) -> bytes:
    """Return the bytes of a JPEG."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def judged(pairs: Iterable[tuple[str, str]], photos: int) -> dict[str, Any]:
    """Return recall and precision of pairs of files (by their names) that are taken for duplicates."""
    split = [(*one.split(MARK), *other.split(MARK)) for one, other in pairs]
    right = [(done, other_done) for photo, done, other, other_done in split if photo == other]
    found = Counter(done if other == ORIGINAL else other for done, other in right if ORIGINAL in (done, other))
    return {
        "recall": round(sum(found.values()) / (7 * photos), 4),
        "precision": round(len(right) / max(1, len(split)), 4),
        "recall_by_edit": {name: round(number / photos, 4) for name, number in sorted(found.items())},
        "pairs": len(split),
        "distinct_photos_together": len({frozenset((one, other)) for one, _, other, _ in split if one != other}),
    }


def without_pixels(folder: Path, collection: Collection) -> Iterator[tuple[str, str]]:
    """Yield the pairs that were near if pixels could not be read, as for pictures in a bucket."""
    with PairStore(folder, collection.name, collection.model) as ledger:
        known = ledger.snapshot()
    rows = {row.id: row for row in collection.fetch([ids[0] for ids in known.images.values()])}
    names = {content: Path(rows[ids[0]].path).stem for content, ids in known.images.items()}
    for (one, other), found in known.pairs.items():
        if evidence.Evidence(found.distance, found.mirrored, found.score, None).kind is Kind.NEAR:
            yield names[one], names[other]


if __name__ == "__main__":
    main()
