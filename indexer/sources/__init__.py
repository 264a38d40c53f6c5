"""Where images come from: one module a kind of source."""

from indexer.sources.base import Reference, Source, Unlistable
from indexer.sources.folder import Files, Folder

__all__ = ["Files", "Folder", "Reference", "Source", "Unlistable"]
