"""Objects by a glob, as ``glob.glob`` finds files."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from google.cloud.storage import Blob

from provender.storage.gcs.client import client, translated
from provender.storage.shown import SIGNS, is_hidden, is_shown


def find(uri: str) -> list[Blob]:
    """The objects that ``uri`` names, by name, hidden ones left out: the object, those directly in the folder and in
    folders called ``column=value`` in it, or those that fit the glob (``*``, ``?``, ``[…]``, ``**`` for folders)."""
    bucket, _, pattern = uri.removeprefix("gs://").partition("/")
    with translated(uri):
        if any(sign in pattern for sign in SIGNS):
            return _globbed(bucket, pattern)
        blob = client().bucket(bucket).get_blob(pattern.rstrip("/"))
        return [blob] if blob is not None else _in_folder(bucket, f"{pattern.rstrip('/')}/")


def _globbed(bucket: str, pattern: str) -> list[Blob]:
    first = min(pattern.index(sign) for sign in SIGNS if sign in pattern)
    wanted = pattern.split("/")
    found = client().list_blobs(bucket, prefix=pattern[:first])
    fitting = (blob for blob in found if not blob.name.endswith("/") and _fits(blob.name.split("/"), wanted))
    return [blob for blob in fitting if is_shown(blob.name.split("/"), wanted)]


def _in_folder(bucket: str, folder: str) -> list[Blob]:
    found = []
    for blob in client().list_blobs(bucket, prefix=folder):
        *folders, name = blob.name.removeprefix(folder).split("/")
        if name and not any(map(is_hidden, (*folders, name))) and all("=" in each for each in folders):
            found.append(blob)
    return found


def folders_in(uri: str) -> list[str]:
    """The folders directly in the folder ``uri`` that hold an object, as URIs with a slash, hidden ones left out; none
    for an object or a glob."""
    bucket, _, pattern = uri.removeprefix("gs://").partition("/")
    if any(sign in pattern for sign in SIGNS):
        return []
    folder = f"{pattern.rstrip('/')}/"
    with translated(uri):
        if client().bucket(bucket).get_blob(pattern.rstrip("/")) is not None:
            return []
        listed = client().list_blobs(bucket, prefix=folder)
        names = [blob.name.removeprefix(folder).split("/") for blob in listed if not blob.name.endswith("/")]
    found = {parts[0] for parts in names if len(parts) > 1 and not is_hidden(parts[0])}
    return [f"gs://{bucket}/{folder}{name}/" for name in sorted(found)]


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[skipped:], pattern[1:]) for skipped in range(len(parts) + 1))
    if not parts or (parts[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])
