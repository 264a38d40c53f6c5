"""One peer turning a folder of photos into vectors; run by peers.py in the peer's own Python.

    PYTHON benchmarks/indexing/peer.py fastdup|img2vec|imagededup FOLDER WORK_FOLDER

Stands alone: it needs the peer and nothing of lookalike. Writes WORK_FOLDER/result.json: the version, the seconds
of its work, the vectors it made, and whether its weights are random. Random weights are what a machine without its
hub gets; they cost the same arithmetic, and numbers too small for the processor's quick path count as zero, so that
they are not slower than real ones. Exits with 3 if the peer is not installed.
"""

import importlib
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

BATCH = 32
NOT_INSTALLED = 3
PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def main() -> None:
    """Run the peer named and write its result."""
    name, folder, work = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    try:
        result = PEERS[name](folder, work)
    except ModuleNotFoundError as error:
        print(f"{name} is not installed: {error}", file=sys.stderr)
        sys.exit(NOT_INSTALLED)
    (work / "result.json").write_text(json.dumps(result), encoding="utf-8")


def fastdup(folder: Path, work: Path) -> dict[str, Any]:
    """Its whole run with its default model: vectors, neighbours, statistics and groups."""
    os.environ["SENTRY_OPT_OUT"] = "True"  # reports nothing, and so does not wait for a network
    module = importlib.import_module("fastdup")
    runner = module.create(input_dir=str(folder), work_dir=str(work / "fastdup"))
    began = time.perf_counter()
    runner.run(overwrite=True, print_summary=False)
    seconds = time.perf_counter() - began
    vectors = len((work / "fastdup" / "atrain_features.dat.csv").read_text(encoding="utf-8").splitlines()) - 1
    return {"version": version("fastdup"), "seconds": seconds, "images": vectors, "random_weights": False}


def img2vec(folder: Path, work: Path) -> dict[str, Any]:
    """Its default model (ResNet-18) over lists of 32 pictures, as its page shows."""
    module = importlib.import_module("img2vec_pytorch")
    pillow = importlib.import_module("PIL.Image")
    made_up = _weights("resnet18", "ResNet18_Weights", work)
    model = module.Img2Vec(cuda=False)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTOS)
    began, vectors = time.perf_counter(), 0
    for start in range(0, len(files), BATCH):
        batch = [pillow.open(file).convert("RGB") for file in files[start : start + BATCH]]
        vectors += len(model.get_vec(batch))
    seconds = time.perf_counter() - began
    return {"version": version("img2vec_pytorch"), "seconds": seconds, "images": vectors, "random_weights": made_up}


def imagededup(folder: Path, work: Path) -> dict[str, Any]:
    """Its CNN method (MobileNet v3 small): encodings alone, with a loading process for each processor."""
    module = importlib.import_module("imagededup.methods")
    made_up = _weights("mobilenet_v3_small", "MobileNet_V3_Small_Weights", work)
    method = module.CNN(verbose=False)
    began = time.perf_counter()
    encodings = method.encode_images(str(folder), recursive=True, num_enc_workers=os.cpu_count() or 1)
    seconds = time.perf_counter() - began
    return {"version": version("imagededup"), "seconds": seconds, "images": len(encodings), "random_weights": made_up}


def _weights(model: str, enumeration: str, work: Path) -> bool:
    """Put random weights where torch looks for downloaded ones, unless those are there; return whether it did."""
    torch = importlib.import_module("torch")
    models = importlib.import_module("torchvision.models")
    torch.set_flush_denormal(True)
    file = getattr(models, enumeration).IMAGENET1K_V1.url.rpartition("/")[2]
    if (Path(torch.hub.get_dir()) / "checkpoints" / file).is_file():
        return False
    torch.hub.set_dir(str(work / "hub"))
    (work / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(getattr(models, model)().state_dict(), work / "hub" / "checkpoints" / file)
    return True


PEERS = {"fastdup": fastdup, "img2vec": img2vec, "imagededup": imagededup}

if __name__ == "__main__":
    main()
