"""Programs that Debian packages, for tests that need the real thing."""

import os
import shutil
import subprocess

import pytest


def debian_command(name: str) -> str:
    """Return the path of a program whose package is called as it is.

    It is installed if it is missing and may be; else the test is skipped (CI: fails).
    """
    found = shutil.which(name)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", name]
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(install, capture_output=True, check=False, env=environment)
        found = shutil.which(name)
    if found is None:
        missing = f"no {name} here: `apt-get install {name}`"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found
