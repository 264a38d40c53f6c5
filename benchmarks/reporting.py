"""Pictures to measure with, and results files with date, machine and command; needs nothing that must be installed."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def copies(originals: Sequence[Path], folder: Path, count: int) -> None:
    """Fill a folder with `count` pictures, all of different bytes: decoders stop where the picture ends."""
    contents = [path.read_bytes() for path in originals]
    for number in range(count):
        source = originals[number % len(originals)]
        path = folder / f"{number % 100:02}" / f"{number:06}{source.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[number % len(originals)] + number.to_bytes(8, "big"))


def write_results(name: str, results: dict[str, Any]) -> None:
    """Print the results, and keep them with date, machine and command."""
    document = {"date": date.today().isoformat(), "machine": machine(), "command": _command(), **results}
    text = json.dumps(document, indent=2)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}-{document['date']}.json").write_text(text + "\n", encoding="utf-8")


def machine() -> str:
    """Return processor, cores and system in one line."""
    listing = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
    named = [line.split(":", 1)[1].strip() for line in listing.splitlines() if line.startswith("Model name")]
    processor = named[0] if named else platform.processor()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def _command() -> str:
    arguments = [Path(a).name if Path(a).exists() else a for a in sys.argv[1:]]
    module = sys.modules["__main__"].__spec__.name.removesuffix(".__main__")
    return " ".join(["python", "-m", module, *arguments])
