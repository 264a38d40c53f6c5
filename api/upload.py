"""An image file that came with a request or was fetched for it."""

from dataclasses import dataclass
from typing import BinaryIO

from embeddings.errors import ImageTooLarge


@dataclass(frozen=True)
class Upload:
    """An image file; its bytes are in memory or in a temporary file."""

    name: str
    size: int
    file: BinaryIO

    def check(self, max_bytes: int) -> None:
        """Raise ImageTooLarge if the file has more than `max_bytes` bytes."""
        if self.size > max_bytes:
            raise ImageTooLarge(f"the file has {self.size:,} bytes, {max_bytes:,} are allowed", field="file")

    def read(self) -> bytes:
        """Return the bytes."""
        self.file.seek(0)
        return self.file.read()
