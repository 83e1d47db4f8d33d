"""Files under one root, addressed by relative paths: the only package that touches them.

:class:`Storage` is what the rest of the platform may rely on. :class:`FileStorage` is a folder (``file://``),
:class:`provender.storage.gcs.GcsStorage` a bucket or a folder of one (``gs://``). Delta tables lie under the same
root, but Spark and Delta readers open them by URI: :mod:`provender.storage.readers` says how.

Imported by training and serving too: the standard library and nothing else, until a ``gs://`` root is asked for.
"""

from __future__ import annotations

from urllib.parse import urlparse

from provender.errors import SettingsError
from provender.storage.base import HeldLock, Storage
from provender.storage.documents import read_document
from provender.storage.file import FileStorage
from provender.storage.uris import local_path, spark_path

__all__ = [
    "FileStorage",
    "HeldLock",
    "Storage",
    "local_path",
    "read_document",
    "spark_path",
    "storage_at",
]


def storage_at(uri: str) -> Storage:
    """The storage for a root URI. Raises :class:`SettingsError` for a scheme that has none."""
    scheme = urlparse(uri).scheme
    if scheme == "file":
        return FileStorage(uri)
    if scheme == "gs":
        from provender.storage.gcs import GcsStorage

        return GcsStorage(uri)
    raise SettingsError(
        f"no storage for {scheme or 'a bare path'!r}",
        where=uri,
        remedy="use a folder, a file:// or a gs:// URI",
    )
