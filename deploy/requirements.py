"""Prints what pyproject.toml asks for, one requirement a line, so that an image can keep it as a layer of its own.

python requirements.py PYPROJECT EXTRAS      extras by comma
"""

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, extras: list[str]) -> list[str]:
    """Return the requirements of a project with some of its extras. Raises KeyError for an extra that it lacks."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return wanted


if __name__ == "__main__":
    print("\n".join(requirements(Path(sys.argv[1]), [name for name in sys.argv[2].split(",") if name])))
