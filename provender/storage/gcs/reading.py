"""An object as a stream."""

from __future__ import annotations

import io
import os
from typing import Any, BinaryIO

from google.api_core.exceptions import NotFound
from google.cloud.storage import Blob

from provender.storage.gcs.client import translated

_CHUNK_BYTES = 8 << 20
_BUFFER_BYTES = 1 << 20


def opened(blob: Blob) -> BinaryIO:
    """The bytes of exactly the generation that ``blob`` was found with, as they are asked for; reading raises
    :class:`FileNotFoundError` if it was replaced meanwhile."""
    return io.BufferedReader(_Reading(blob), _BUFFER_BYTES)


class _Reading(io.RawIOBase):
    def __init__(self, blob: Blob) -> None:
        self._where = f"gs://{blob.bucket.name}/{blob.name}"
        self._reader = blob.open("rb", chunk_size=_CHUNK_BYTES)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with translated(self._where):
            try:
                data = self._reader.read(len(buffer))
            except NotFound as error:
                raise FileNotFoundError(self._where) from error
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())
