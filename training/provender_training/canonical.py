"""skops files whose bytes depend on the model alone.

skops writes a zip archive: ``schema.json`` and one file per array. It numbers objects by their address in memory and
dates the files, so the same model twice gives other bytes. Here objects and files are numbered in the order in which
the schema names them, files are stored without compression (whose output depends on zlib's version) under one date.
It stays an ordinary skops file.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import skops.io

from provender.errors import SpecError
from provender.model_registry.skops_allowlist import TRUSTED

_SCHEMA = "schema.json"
_DATE = (1980, 1, 1, 0, 0, 0)
"""The first date that a zip file can hold."""


def dump(model: Any) -> bytes:
    """The model as a skops file. Raises :class:`SpecError` for one that serving would refuse to load."""
    data = skops.io.dumps(model)
    refused = sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED))
    if refused:
        raise SpecError(
            f"the model holds types that are not trusted: {', '.join(refused)}",
            where="what the training module built",
            not_affected="whatever serves now; nothing was written",
            remedy="build it from scikit-learn's estimators and numpy alone: the file format holds no code",
        )
    return canonical(data)


def load(data: bytes) -> Any:
    """The model in a skops file. Raises :class:`SpecError` for one with types that are not trusted."""
    try:
        return skops.io.loads(data, trusted=list(TRUSTED))
    except skops.io.exceptions.UntrustedTypesFoundException as error:
        raise SpecError(f"the model is refused: {error}", where="model.skops") from error


def canonical(data: bytes) -> bytes:
    """A skops file with the same content and canonical bytes."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    numbers = _Numbers()
    schema = numbers.renumbered(json.loads(contents.pop(_SCHEMA)))
    files = {numbers.files[name]: content for name, content in contents.items() if name in numbers.files}
    files[_SCHEMA] = json.dumps(schema, separators=(",", ":")).encode()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _DATE), files[name])
    return written.getvalue()


class _Numbers:
    """Objects and files in the order in which the schema names them first."""

    def __init__(self) -> None:
        self.objects: dict[int, int] = {}
        self.files: dict[str, str] = {}

    def renumbered(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.renumbered(each) for each in node]
        if not isinstance(node, dict):
            return node
        return {key: self._value(key, value) for key, value in node.items()}

    def _value(self, key: str, value: Any) -> Any:
        if key == "__id__":
            return self.objects.setdefault(value, len(self.objects) + 1)
        if key == "file" and isinstance(value, str):
            return self.files.setdefault(value, f"{len(self.files) + 1:06d}.{value.rpartition('.')[2]}")
        return self.renumbered(value)
