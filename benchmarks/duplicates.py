"""What of edited copies is found as near duplicates, and what else is taken for them.

    python -m benchmarks.duplicates FOLDER [--every 1] [--half fit|test|all]

Each photo of the folder is indexed with seven copies: saved again at quality 30 and at a random one up to 95, resized
to 50%, cropped to 95% of both sides somewhere, made darker or brighter by 10 to 30%, mirrored, and with a caption.
Recall is the share of copies that come into one near group with their photo; precision the share of all pairs in near
groups that come from one photo. The limits in duplicates/alike.py were chosen on the photos of the half `fit` (whose
content hash begins with an even digit); what is reported of them is the half `test`.
"""

import argparse
import hashlib
import io
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from benchmarks.common import Bench, fresh, write_results
from duplicates import evidence
from duplicates.evidence import Kind
from duplicates.pair_store import PairStore
from duplicates.review import GroupView, Review
from duplicates.scan import ScanProgress, folder_of, scan
from indexer.pipeline.index_source import index_source
from indexer.sources.folder import Folder
from store.base import Collection
from store.image_files import ImageFiles

ORIGINAL = "original"
MARK = "__"  # between the number of a photo and what was done to it
QUALITY = 90


def main() -> None:
    """Make the copies, index them, look for duplicates and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take only every so many-th photo")
    parser.add_argument("--half", choices=["fit", "test", "all"], default="test")
    arguments = parser.parse_args()
    with TemporaryDirectory() as made, fresh() as bench:
        photos = make(arguments.folder, Path(made), arguments.every, arguments.half)
        collection = bench.store.create("duplicates", bench.embedder.identity)
        index_source(Folder(Path(made)), collection, bench.embedder, bench.settings.max_bytes, False, lambda _: None)
        stages = timed_scan(bench, collection)
        review = Review(collection, folder_of(bench.settings.data))
        counted = count(review.show(review.groups(Kind.NEAR)))
        found = {"photos": photos, "images": collection.count(), "seconds": stages}
        limits = {
            name: getattr(evidence, name) for name in dir(evidence) if name.startswith(("NEAR_", "BLIND_", "SIMILAR"))
        }
        groups = {str(kind): len(review.groups(kind)) for kind in Kind}
        blind = {"without_pixels": without_pixels(bench, collection)}
        write_results(
            f"duplicates-{arguments.half}",
            {"folder": arguments.folder.name, "half": arguments.half, "limits": limits}
            | found
            | {"groups": groups}
            | counted.results(photos)
            | blind,
        )


def make(folder: Path, made: Path, every: int, half: str) -> int:
    """Write each photo of the half and its copies; return the number of photos."""
    photos: dict[str, Path] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file())[::every]:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if half in ("all", "fit" if int(digest[0], 16) % 2 == 0 else "test"):
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


def timed_scan(bench: Bench, collection: Collection) -> dict[str, float]:
    """Look for duplicates and return the seconds of each stage."""
    image_files = ImageFiles(bench.settings.data, bench.settings.max_bytes)
    began: dict[str, float] = {}

    def listen(progress: ScanProgress) -> None:
        began.setdefault(progress.stage, time.perf_counter())

    scan(
        collection,
        folder_of(bench.settings.data),
        lambda row: image_files.read(collection.name, row),
        bench.embedder.pool,
        listen,
    )
    ends = [*list(began.values())[1:], time.perf_counter()]
    return {stage: round(end - start, 1) for (stage, start), end in zip(began.items(), ends, strict=True)}


@dataclass
class Count:
    """Pairs of pictures that share a near group."""

    found: Counter[str] = field(default_factory=Counter)  # copies that are with their photo, by what was done to them
    right: int = 0
    wrong: int = 0
    wrong_photos: set[frozenset[str]] = field(default_factory=set)

    def add(self, names: Sequence[str]) -> None:
        """Count one group by the names of its files."""
        for one, other in combinations(names, 2):
            (photo, done), (other_photo, other_done) = one.split(MARK), other.split(MARK)
            if photo != other_photo:
                self.wrong += 1
                self.wrong_photos.add(frozenset((photo, other_photo)))
                continue
            self.right += 1
            if ORIGINAL in (done, other_done):
                self.found[other_done if done == ORIGINAL else done] += 1

    def results(self, photos: int) -> dict[str, Any]:
        """Return recall, precision and what went wrong."""
        return {
            "recall": round(sum(self.found.values()) / (7 * photos), 4),
            "precision": round(self.right / max(1, self.right + self.wrong), 4),
            "recall_by_edit": {name: round(number / photos, 4) for name, number in sorted(self.found.items())},
            "pairs": self.right + self.wrong,
            "distinct_photos_together": len(self.wrong_photos),
        }


def count(groups: Sequence[GroupView]) -> Count:
    """Count the pairs in groups."""
    counted = Count()
    for group in groups:
        counted.add([Path(copy.row.path).stem for copy in group.images])
    return counted


def without_pixels(bench: Bench, collection: Collection) -> dict[str, float]:
    """Return recall and precision of single pairs where pixels cannot be read, as for pictures in a bucket."""
    with PairStore(folder_of(bench.settings.data), collection.name, collection.model) as ledger:
        known = ledger.snapshot()
    rows = {row.id: row for row in collection.fetch([ids[0] for ids in known.images.values()])}
    names = {content: Path(rows[ids[0]].path).stem.split(MARK) for content, ids in known.images.items()}
    blind = [
        (names[first], names[second])
        for (first, second), found in known.pairs.items()
        if evidence.Evidence(found.distance, found.mirrored, found.score, None).kind is Kind.NEAR
    ]
    same = [pair for pair in blind if pair[0][0] == pair[1][0]]
    with_photo = [pair for pair in same if ORIGINAL in (pair[0][1], pair[1][1])]
    photos = len({name[0] for name in names.values()})
    return {
        "recall": round(len(with_photo) / (7 * photos), 4),
        "precision": round(len(same) / max(1, len(blind)), 4),
    }


if __name__ == "__main__":
    main()
