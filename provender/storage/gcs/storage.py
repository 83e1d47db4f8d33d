"""The storage on ``gs://``.

What Google Cloud Storage gives: an object appears whole or not at all, reading and listing see every finished write,
and a write may be bound to the generation that the object has. Nothing here relies on a condition on deleting,
copying or resumable uploads, which emulators pass over.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import BinaryIO, cast

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Blob, Bucket
from google.cloud.storage.retry import DEFAULT_RETRY

from provender.errors import AlreadyExistsError, SettingsError
from provender.storage.base import HeldLock, checked
from provender.storage.gcs import objects
from provender.storage.gcs.client import client, translated
from provender.storage.gcs.lock import LEASE_SECONDS, held_lock
from provender.storage.gcs.reading import opened

_IN_MEMORY_BYTES = 8 << 20
_CHUNK_BYTES = 8 << 20
_PAGE_NAMES = 1000
"""The most that Google gives at once."""
_AT_ONCE = 10
"""As many connections as the client keeps open."""


class GcsStorage:
    """A bucket, or a folder of one.

    ``lease_seconds``: how long a lock outlives its holder's last sign of life.
    """

    lists_in_order = True

    def __init__(self, root: str, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.root = root.rstrip("/")
        self._bucket_name, _, folder = self.root.removeprefix("gs://").partition("/")
        self._folder = f"{folder}/" if folder else ""
        self._lease_seconds = lease_seconds
        if not self._bucket_name:
            raise SettingsError("a gs:// root names no bucket", where=root, remedy="write gs://bucket/folder")

    def uri(self, path: str) -> str:
        return f"{self.root}/{checked(path)}"

    def read(self, path: str) -> bytes:
        return self._read(self._bucket, path)

    def read_all(self, paths: Sequence[str]) -> list[bytes]:
        # The client is found here: a thread of the pool does not know whose credentials the caller uses.
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(partial(self._read, self._bucket), paths))

    def _read(self, bucket: Bucket, path: str) -> bytes:
        with translated(self.uri(path)):
            try:
                data: bytes = bucket.blob(self._name(path)).download_as_bytes(checksum="crc32c")
            except NotFound as error:
                raise FileNotFoundError(self.uri(path)) from error
        return data

    def open(self, path: str) -> BinaryIO:
        with translated(self.uri(path)):
            blob = self._bucket.get_blob(self._name(path))
        if blob is None:
            raise FileNotFoundError(self.uri(path))
        return opened(blob)

    def create(self, path: str, data: bytes) -> None:
        with translated(self.uri(path)):
            try:
                objects.put(self._bucket, self._name(path), data, objects.NOBODY)
            except PreconditionFailed as error:
                raise AlreadyExistsError(f"{path} exists already", where=self.root) from error

    @contextmanager
    def writing(self, path: str) -> Iterator[BinaryIO]:
        # Not the client's own writable stream: that one finishes its upload when it is closed, whatever for.
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as spool:
            name = self._name(path)
            yield cast(BinaryIO, spool)
            spool.seek(0, os.SEEK_END)
            size = spool.tell()
            spool.seek(0)
            with translated(self.uri(path)):
                blob = self._bucket.blob(name, chunk_size=_CHUNK_BYTES)
                blob.upload_from_file(spool, size=size, checksum="crc32c", retry=DEFAULT_RETRY)

    def copy(self, uri: str, path: str) -> bool:
        source = source_of(uri)
        if source is None:
            return False
        with translated(self.uri(path)):
            target = self._bucket.blob(self._name(path))
            try:
                token, _, _ = target.rewrite(source, retry=DEFAULT_RETRY)
                while token is not None:
                    token, _, _ = target.rewrite(source, token=token, retry=DEFAULT_RETRY)
            except NotFound as error:
                raise FileNotFoundError(uri) from error
        return True

    def names(self, folder: str, after: str = "") -> list[str]:
        prefix = f"{self._name(folder)}/"
        with translated(self.uri(folder)):
            found = client().list_blobs(
                self._bucket_name,
                prefix=prefix,
                delimiter="/",
                start_offset=f"{prefix}{after}" if after else None,
                fields="items(name),prefixes,nextPageToken",
                page_size=_PAGE_NAMES,
            )
            # Hadoop marks a folder with an object of no bytes that is called like it.
            names = {blob.name.removeprefix(prefix) for blob in found if blob.name != prefix}
        names |= {name.removeprefix(prefix).rstrip("/") for name in found.prefixes}
        return sorted(name for name in names if name > after)

    def exists(self, path: str) -> bool:
        name = self._name(path)
        with translated(self.uri(path)):
            if self._bucket.blob(name).exists(retry=DEFAULT_RETRY):
                return True
            below = client().list_blobs(self._bucket_name, prefix=f"{name}/", max_results=1)
            return any(True for _ in below)

    def delete_tree(self, path: str) -> None:
        name = self._name(path)
        with translated(self.uri(path)), ThreadPoolExecutor(_AT_ONCE) as pool:
            below = client().list_blobs(self._bucket_name, prefix=f"{name}/")
            for _ in pool.map(_delete, [self._bucket.blob(name), *below]):
                pass

    def lock(
        self, name: str, owner: str, *, timeout_seconds: float, waiting: Callable[[str], None] | None = None
    ) -> AbstractContextManager[HeldLock]:
        return held_lock(
            self._bucket,
            self._name(f"locks/{name}"),
            owner,
            lease_seconds=self._lease_seconds,
            timeout_seconds=timeout_seconds,
            waiting=waiting,
        )

    @property
    def _bucket(self) -> Bucket:
        return client().bucket(self._bucket_name)

    def _name(self, path: str) -> str:
        return f"{self._folder}{checked(path).strip('/')}"


def source_of(uri: str) -> Blob | None:
    """The object behind ``gs://bucket/name#generation``; None for what is not on Google Cloud Storage."""
    if not uri.startswith("gs://"):
        return None
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    name, _, generation = name.rpartition("#")
    return client().bucket(bucket).blob(name, generation=int(generation))


def _delete(blob: Blob) -> None:
    with suppress(NotFound):  # deleted by another, or by the first try of this one
        blob.delete(retry=DEFAULT_RETRY)
