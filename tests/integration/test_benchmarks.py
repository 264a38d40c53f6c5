"""Benchmarks are run now and then, and by others: what they are made of must not be moved away from them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FILES = sorted((ROOT / "benchmarks").rglob("*.py"))
MODULES = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in FILES]


@pytest.mark.slow  # a third of a minute, for torch and all else that they need
def test_every_benchmark_can_be_started():
    command = [sys.executable, "-c", "".join(f"import {name}\n" for name in MODULES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert len(MODULES) > 20
    assert (done.returncode, done.stderr) == (0, "")
