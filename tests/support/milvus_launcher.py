"""`milvus-server`, which after a kill gets its old ports at once.

Its wrapper passes over ports with connections that a killed server left, for a minute; Milvus does not mind them.
"""

import socket
import sys

from milvus import MilvusServerConfig, main


def try_bind_port(_: MilvusServerConfig, port: int) -> socket.socket | None:
    """Return a listening socket, None where the port is taken."""
    try:
        return socket.create_server(("127.0.0.1", port))  # with SO_REUSEADDR
    except OSError:
        return None


MilvusServerConfig.try_bind_port = try_bind_port
sys.exit(main())
