"""Prints the requirements in pyproject.toml, one per line, so that a Docker image keeps them in a layer of their own.

python requirements.py PYPROJECT EXTRAS      extras separated by commas
"""

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, extras: list[str]) -> list[str]:
    """Return the requirements of a project with some of its extras. Raises KeyError for an unknown extra."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return wanted


if __name__ == "__main__":
    print("\n".join(requirements(Path(sys.argv[1]), [name for name in sys.argv[2].split(",") if name])))
