"""Single objects: written under a condition, so that a cut connection leaves no doubt who wrote."""

from __future__ import annotations

import secrets

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.api_core.retry import Retry
from google.cloud.storage import Bucket
from google.cloud.storage.retry import DEFAULT_RETRY

NOBODY = 0
"""The generation of an object that is not there."""
_WRITER = "provender-write"
"""Metadata key: names the one write that brought an object's bytes."""


def put(
    bucket: Bucket,
    name: str,
    data: bytes,
    generation: int,
    *,
    retry: Retry = DEFAULT_RETRY,
    timeout: float = 60,
) -> int:
    """Writes ``name`` if it has ``generation`` now; returns its new one.

    One request up to 8 MiB. A connection may break after the object was written and before the answer came: the
    retry is refused then, and finds that the object there is its own. Raises
    :class:`~google.api_core.exceptions.PreconditionFailed` if somebody else wrote.
    """
    token = secrets.token_hex(16)
    blob = bucket.blob(name)
    blob.metadata = {_WRITER: token}
    try:
        blob.upload_from_string(
            data,
            content_type="application/octet-stream",
            if_generation_match=generation,
            checksum="crc32c",
            retry=retry,
            timeout=timeout,
        )
    except PreconditionFailed:
        there = bucket.get_blob(name, retry=retry, timeout=timeout)
        if there is None or (there.metadata or {}).get(_WRITER) != token:
            raise
        return int(there.generation)
    return int(blob.generation)


def read(bucket: Bucket, name: str) -> tuple[bytes, int]:
    """The object's bytes and their generation; nothing and :data:`NOBODY` if it is not there."""
    while (blob := bucket.get_blob(name)) is not None:
        try:
            return blob.download_as_bytes(checksum="crc32c"), int(blob.generation)
        except NotFound:
            continue  # that generation was replaced between the two requests
    return b"", NOBODY
