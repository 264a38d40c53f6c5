"""A real Milvus server for tests, started once for all of them on free ports and ended with its children."""

import importlib.util
import os
import random
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
from store import open_store
from support.waiting import until

START_SECONDS = 90.0
HOST = "127.0.0.1"
LAUNCHER = Path(__file__).with_name("milvus_launcher.py")
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
    need_milvus()
    with running_server(tmp_path_factory.mktemp("milvus-server")) as uri:
        yield uri


def need_milvus() -> None:
    """Skip the test (CI: fail it) where there is no server to start."""
    if importlib.util.find_spec("milvus") is None:
        reason = "no Milvus server here: `pip install milvus==2.3.5` (Linux on x86-64)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


class MilvusServer:
    """One server on its ports and its directory, whatever becomes of its processes."""

    def __init__(self, directory: Path) -> None:
        *ports, etcd_peer_port = free_ports(len(PORTS) + 1)
        self._port = ports[0] = lasting_port()
        options = [word for name, port in zip(PORTS, ports, strict=True) for word in (f"--{name}", str(port))]
        self._etcd = directory / "etcd.yaml"
        self._etcd.write_text(etcd_configuration(directory / "etcd", ports[-1], etcd_peer_port))
        self._command: list[str | Path] = [sys.executable, LAUNCHER, "--data", directory / "milvus", *options]
        self._log = directory / "output.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = f"http://{HOST}:{ports[0]}"

    def start(self) -> None:
        """Start it; it answers a while later."""
        wait_until_free(self._port)  # it would quietly take another
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdout=output,
                stderr=output,
                env={**os.environ, "ETCD_CONFIG_PATH": str(self._etcd)},
                start_new_session=True,  # the command is a wrapper: its process group is what must be ended
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it with no chance to say goodbye."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def wait_until_ready(self) -> None:
        """Return when the server answers; fail with its output when it does not."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                with open_store(self.uri, "", Path(), timeout=2.0) as store:
                    store.collections()
                    return
            except StoreUnavailable:
                pass
            try:
                self._process.wait(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                continue
        pytest.fail(f"the Milvus server did not start:\n{self._log.read_text()[-2000:]}")


@contextmanager
def running_server(directory: Path) -> Iterator[str]:
    """Run a server on a directory while the context lasts."""
    server = MilvusServer(directory)
    server.start()
    try:
        server.wait_until_ready()
        yield server.uri
    finally:
        server.kill()


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def lasting_port() -> int:
    """Return a port that no connection of somebody else takes while its server is down."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(lowest // 2, lowest)
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Return whether a server can listen at a port now."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def wait_until_free(port: int) -> None:
    """Return when the processes of a server that was killed have let its port go."""
    until(lambda: is_free(port), START_SECONDS, lambda: f"port {port} is taken")


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
