"""Opens a source by its name: a folder, a list of images, or a bucket."""

from collections.abc import Mapping
from pathlib import Path

from embeddings.errors import UsageError
from indexer.sources.base import Source
from indexer.sources.bucket import FsspecSource
from indexer.sources.folder import Folder
from indexer.sources.manifest import Manifest
from indexer.sources.url_list import PoliteFetcher, UrlList
from store.locations import LISTS, URL_LISTS, file_of, from_text, scheme, to_text

_LISTS = (*LISTS, *URL_LISTS)
_HINT = f"name a folder, a list of images ({', '.join(_LISTS)}) or an address such as s3://bucket/photos"


def open_source(text: str, headers: Mapping[str, str] | None = None) -> Source:
    """Return the source with this name, path or address; nothing is listed yet.

    `headers` are sent to the web servers of a list. Raises UsageError, SourceUnavailable.
    """
    if not text.strip():
        raise UsageError(f"the name of the source is empty: {_HINT}", field="source")
    kind = scheme(text)
    if kind in ("http", "https"):
        raise UsageError(f"a web address is not a source of images: {_HINT}")
    if kind == "file":
        text = from_text(file_of(to_text(text)))
    elif kind:
        return FsspecSource(text)
    path = Path(text)
    web = PoliteFetcher(headers=headers)
    if path.suffix.lower() in URL_LISTS and not path.is_dir():
        return UrlList(path, web)
    if path.suffix.lower() in LISTS and not path.is_dir():
        return Manifest(path, {"http": web.fetch, "https": web.fetch})
    if path.is_file():
        raise UsageError(f"{path} is neither a folder nor a list of images: {_HINT}")
    return Folder(path)
