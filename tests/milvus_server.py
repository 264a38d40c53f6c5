"""A real Milvus server for tests, started once for all of them on free ports and ended with its children."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from embeddings.errors import StoreUnavailable
from embeddings.store import open_store

START_SECONDS = 90.0
HOST = "127.0.0.1"
PORTS = (
    "proxy-port",
    "proxy-internal-port",
    "root-coord-port",
    "query-coord-port",
    "query-node-port",
    "index-coord-port",
    "index-node-port",
    "data-coord-port",
    "data-node-port",
    "etcd-port",
)


@pytest.fixture(scope="session")
def milvus_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running Milvus server."""
    if importlib.util.find_spec("milvus") is None:
        reason = "no Milvus server here: `pip install milvus==2.3.5` (Linux on x86-64)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with running_server(tmp_path_factory.mktemp("milvus-server")) as uri:
        yield uri


@contextmanager
def running_server(directory: Path) -> Iterator[str]:
    """Run a server on a directory while the context lasts."""
    *ports, etcd_peer_port = free_ports(len(PORTS) + 1)
    options = [word for name, port in zip(PORTS, ports, strict=True) for word in (f"--{name}", str(port))]
    etcd = directory / "etcd.yaml"
    etcd.write_text(etcd_configuration(directory / "etcd", ports[-1], etcd_peer_port))
    # a strong read waits for the next tick of the server's clock; it is usually 200 ms
    options += ["--extra-config", "proxy.timeTickInterval=20"]
    command = [Path(sys.executable).parent / "milvus-server", "--data", directory / "milvus", *options]
    log = directory / "output.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env={**os.environ, "ETCD_CONFIG_PATH": str(etcd)},
            start_new_session=True,  # the command is a wrapper: its process group is what must be ended
        )
        try:
            uri = f"http://{HOST}:{ports[0]}"
            wait_until_ready(server, uri, log)
            yield uri
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def wait_until_ready(server: subprocess.Popen[bytes], uri: str, log: Path) -> None:
    """Return when the server answers; fail with its output when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with open_store(uri, "", Path(), timeout=2.0) as store:
                store.collections()
                return
        except StoreUnavailable:
            pass
        try:
            server.wait(timeout=0.2)
            break
        except subprocess.TimeoutExpired:
            continue
    pytest.fail(f"the Milvus server did not start:\n{log.read_text()[-2000:]}")


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def etcd_configuration(directory: Path, client_port: int, peer_port: int) -> str:
    """Return the configuration of the server's own etcd, which otherwise takes two fixed ports."""
    client, peer = f"http://{HOST}:{client_port}", f"http://{HOST}:{peer_port}"
    return f"""\
name: default
data-dir: {directory}
listen-client-urls: {client}
advertise-client-urls: {client}
listen-peer-urls: {peer}
initial-advertise-peer-urls: {peer}
initial-cluster: default={peer}
log-level: error
"""
