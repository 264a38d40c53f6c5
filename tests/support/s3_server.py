"""A server that speaks S3 for tests, in a process of its own on a free port."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from urllib.request import Request, urlopen

import pytest

PAGE = 3  # objects in one answer of a list

SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""


@contextmanager
def running_s3() -> Iterator[dict[str, str]]:
    """Run a server while the context lasts; yields the environment that leads to it."""
    missing = [name for name in ("moto", "flask", "flask_cors", "s3fs") if find_spec(name) is None]
    if missing:
        pytest.skip(f"no S3 server here: `pip install s3fs 'moto[s3]' flask flask-cors` ({missing[0]} is missing)")
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        env={"MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    clear_s3fs()
    try:
        assert server.stdout is not None
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{int(server.stdout.readline())}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.communicate(timeout=30)


def clear_s3fs() -> None:
    """Forget the file systems of earlier tests in this process: theirs had other keys, or none."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


def check_keys(address: str, check: bool) -> None:
    """Make a server refuse unknown keys, or take them again."""
    count = b"0" if check else b"inf"  # of calls that are not checked
    with urlopen(Request(f"{address}/moto-api/reset-auth", count, {"Content-Type": "text/plain"})):
        pass
