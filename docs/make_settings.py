"""Writes the table of docs/settings.md from the Settings class.

python -m docs.make_settings            writes it
python -m docs.make_settings --check    exits with 1 where it is stale
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from embeddings.settings import PREFIX, Settings

PAGE = Path(__file__).with_name("settings.md")
BEGIN, END = "<!-- table: python -m docs.make_settings -->", "<!-- end of the table -->"


def table() -> str:
    """Return one Markdown row per environment variable, in the order of the fields."""
    rows = (_row(name, field) for name, field in Settings.model_fields.items())
    return "\n".join(["| variable | default | values | |", "|---|---|---|---|", *rows])


def with_table(page: str) -> str:
    """Return the page with a table that is up to date. Raises ValueError where the page has no place for it."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} needs the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def _row(name: str, field: FieldInfo) -> str:
    default = _default(field.default)
    cells = f"`{PREFIX}{name.upper()}`", f"`{default}`" if default else "", _values(field), field.description or ""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(value: Any) -> str:
    """Return a default as it is written in the environment."""
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in value.items())
    return ",".join(value) if isinstance(value, tuple) else str(value).removesuffix(".0")


def _values(field: FieldInfo) -> str:
    """Return the values that a field takes, where its type or its bounds name them."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(field.annotation))
    if field.annotation in (int, float):
        return " and ".join(_bounds(field)) or "a number"
    return ""


def _bounds(field: FieldInfo) -> Iterator[str]:
    for sign, attribute in ((">", "gt"), ("≥", "ge"), ("≤", "le")):
        for bound in field.metadata:
            if getattr(bound, attribute, None) is not None:
                yield f"{sign} {getattr(bound, attribute):,}"


def main() -> int:
    """Write the page, or check it."""
    page = PAGE.read_text(encoding="utf-8")
    current = with_table(page)
    if "--check" in sys.argv[1:]:
        return int(page != current)
    PAGE.write_text(current, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
