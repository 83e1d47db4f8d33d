"""What is wrong with a file as a whole, so that none of its records can be trusted."""

from __future__ import annotations

from provender.errors import ContractError


class UnreadableFileError(ValueError):
    """The file cannot be read on: ``str()`` says why, in words for a person. ``remedy`` is what to do."""

    def __init__(self, why: str, remedy: str = "deliver the file again") -> None:
        self.why, self.remedy = why, remedy
        super().__init__(why)

    def refused(self, name: str) -> ContractError:
        """The same as the terminal error that a command ends with."""
        return ContractError(
            f"{name} cannot be read: {self.why}",
            where=name,
            not_affected="what was staged and ingested before",
            remedy=self.remedy,
        )


class UndecodableError(UnreadableFileError):
    """A byte that is not in the declared encoding; ``at`` is its offset in the unpacked file."""

    def __init__(self, encoding: str, at: int, begins: bytes = b"") -> None:
        self.at = at
        looks = next((text for start, text in _BEGINNINGS.items() if begins.startswith(start)), "")
        super().__init__(
            f"it is not {encoding}: byte {at} cannot be decoded",
            looks or "set raw.options.encoding in the spec, or deliver the file again",
        )


_BEGINNINGS = {
    b"\xff\xfe": "it begins as UTF-16 does: set raw.options to {encoding: UTF-16}",
    b"\xfe\xff": "it begins as UTF-16 does: set raw.options to {encoding: UTF-16}",
    b"\x1f\x8b": "it begins as gzip does: deliver it with .gz at the end of its name",
    b"BZh": "it begins as bzip2 does: deliver it with .bz2 at the end of its name",
    b"\x28\xb5\x2f\xfd": "it begins as zstd does: deliver it with .zst at the end of its name",
    b"\xfd7zXZ": "it begins as xz does: deliver it with .xz at the end of its name",
    b"PK\x03\x04": "it begins as a zip archive or a spreadsheet does: deliver the CSV in it",
}
"""How files begin that are often taken for text, and what to do."""
