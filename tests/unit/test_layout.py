"""The rules of the tree that no linter checks."""

import re
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
MAX_MODULES = 20  # beside each other in one folder
IMPORT_OF_A_TEST = re.compile(r"^\s*(?:from|import) +(?:[\w.]+\.)?(?:test_\w+|conftest)\b", re.MULTILINE)


def test_no_test_imports_another_or_a_conftest() -> None:
    """Programs in strings neither. What tests share belongs into tests/support."""
    files = list((ROOT / "tests").rglob("*.py"))
    assert [str(file) for file in files if IMPORT_OF_A_TEST.search(file.read_text(encoding="utf-8"))] == []
    assert len(files) > 100


def test_no_folder_has_more_than_twenty_modules() -> None:
    modules = [file for name in PACKAGES for file in (ROOT / name).rglob("*") if file.suffix in (".py", ".js")]
    folders = Counter(str(file.parent.relative_to(ROOT)) for file in modules)
    assert {folder: number for folder, number in folders.items() if number > MAX_MODULES} == {}
    assert folders.keys() > set(PACKAGES)
