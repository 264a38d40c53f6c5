"""The documents hold together: links lead somewhere, named files exist, and the table of settings is current."""

import re
from pathlib import Path

import pytest

from docs.make_settings import PAGE, with_table

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(
    r"`((?:api|cli|deploy|duplicates|embeddings|indexer|lookalike_client|store|tests)/[a-z_/]*(?:\.py)?)`"
)

BENCHMARK = re.compile(r"\bbenchmarks\.(?!md\b)[a-z_]+(?:\.[a-z_]+)*")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    for link in links:
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@every_page
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = set(FILE.findall(page.read_text(encoding="utf-8")))
    assert {name for name in named if not (ROOT / name).exists()} == set()


@every_page
def test_every_benchmark_that_a_page_names_exists(page: Path) -> None:
    named = set(BENCHMARK.findall(page.read_text(encoding="utf-8")))
    assert {name for name in named if not module_exists(name)} == set()


def module_exists(name: str) -> bool:
    """Return whether `python -m` finds a module of the repository."""
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__main__.py").exists()


def test_every_package_is_on_the_map() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    products = ("api", "cli", "duplicates", "embeddings", "indexer", "lookalike_client", "store")
    packages = {f"{file.parent.relative_to(ROOT)}/" for name in products for file in (ROOT / name).rglob("__init__.py")}
    assert {package for package in packages if f"`{package}`" not in text} == set()


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert {page.name for page in PAGES if page.name != "README.md" and f"({page.name})" not in index} == set()


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 160


def test_the_table_of_settings_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page), "run `python -m docs.make_settings`"
