"""Where images come from: one module a kind of source."""

from indexer.sources.base import Reference, Source, Unlistable
from indexer.sources.filesystem import Bucket
from indexer.sources.folder import Files, Folder
from indexer.sources.manifest import Manifest
from indexer.sources.opening import open_source

__all__ = ["Bucket", "Files", "Folder", "Manifest", "Reference", "Source", "Unlistable", "open_source"]
