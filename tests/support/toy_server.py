"""Serves the toy model with a store in memory, or with a Milvus server, on a free port.

It prints its address and, at the end, 'stopped'.

It does not resolve host names, because that takes seconds per name without a network.

python toy_server.py FOLDER [SETTING=VALUE | impatient | web=PORT ...]

`web` is a local port from which images may be fetched, as if it were a public server.
"""

import sys
from functools import partial
from pathlib import Path
from socket import AI_NUMERICHOST, getaddrinfo

from api import request_body
from api.server import connection
from api.server.run import listening, serve_opened
from embeddings.settings import Settings
from embeddings.web.fetcher import WebFetcher
from store import open_store
from store.testing import MemoryStore

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.toy import ToyEmbedder

if __name__ == "__main__":
    folder, *options = sys.argv[1:]
    if "impatient" in options:
        connection.HEAD_SECONDS, connection.TICK, request_body.GRACE = 2.0, 0.1, 1.5
    given = dict(option.split("=", 1) for option in options if "=" in option)
    public = frozenset({("127.0.0.1", int(given.pop("web", 0)))})
    defaults = {"data": Path(folder), "max_bytes": 1_000_000, "decode_processes": 1}
    settings = Settings(**defaults, **given)  # type: ignore[arg-type]
    uri = settings.milvus_uri
    opened = open_store(uri, "", settings.data, settings.milvus_timeout) if uri else MemoryStore()
    with listening("127.0.0.1", 0) as listener, ToyEmbedder() as embedder, opened as store:
        fetcher = WebFetcher(resolve=partial(getaddrinfo, flags=AI_NUMERICHOST), allow_private=public)
        started = partial(print, flush=True)
        serve_opened(settings, listener, embedder, store, started, fetcher=fetcher)
    print("stopped", flush=True)
