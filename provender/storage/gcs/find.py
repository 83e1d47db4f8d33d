"""Objects by a glob, as ``glob.glob`` finds files."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from google.cloud.storage import Blob

from provender.storage.gcs.client import client, translated

_SIGNS = "*?["


def find(uri: str) -> list[Blob]:
    """The objects that ``uri`` names, by name: the object, those directly in the folder (hidden ones, whose names
    begin with ``.`` or ``_``, left out), or those that fit the glob (``*``, ``?``, ``[…]``, ``**`` for folders)."""
    bucket, _, pattern = uri.removeprefix("gs://").partition("/")
    with translated(uri):
        if any(sign in pattern for sign in _SIGNS):
            return _globbed(bucket, pattern)
        blob = client().bucket(bucket).get_blob(pattern.rstrip("/"))
        return [blob] if blob is not None else _in_folder(bucket, f"{pattern.rstrip('/')}/")


def _globbed(bucket: str, pattern: str) -> list[Blob]:
    first = min(pattern.index(sign) for sign in _SIGNS if sign in pattern)
    wanted = pattern.split("/")
    found = client().list_blobs(bucket, prefix=pattern[:first])
    return [blob for blob in found if not blob.name.endswith("/") and _fits(blob.name.split("/"), wanted)]


def _in_folder(bucket: str, folder: str) -> list[Blob]:
    found = client().list_blobs(bucket, prefix=folder, delimiter="/")
    names = ((blob, blob.name.removeprefix(folder)) for blob in found)
    return [blob for blob, name in names if name and not name.startswith((".", "_"))]


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[skipped:], pattern[1:]) for skipped in range(len(parts) + 1))
    if not parts or (parts[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])
