"""What is wrong with a file as a whole, so that none of its records can be trusted."""

from __future__ import annotations

from provender.errors import ContractError


class DamagedFileError(ValueError):
    """The file cannot be read on: ``str()`` says why, in words for a person. ``remedy`` is what to do."""

    def __init__(self, why: str, remedy: str = "deliver the file again") -> None:
        self.why, self.remedy = why, remedy
        super().__init__(why)

    def refused(self, name: str) -> ContractError:
        """The same as the terminal error that a command ends with."""
        return ContractError(
            f"{name} cannot be read: {self.why}",
            where=name,
            unharmed="what was staged and ingested before",
            remedy=self.remedy,
        )


class UndecodableError(DamagedFileError):
    """A byte that is not in the declared encoding; ``at`` is its offset in the unpacked file."""

    def __init__(self, encoding: str, at: int) -> None:
        self.at = at
        super().__init__(
            f"it is not {encoding}: byte {at} cannot be decoded",
            "set raw.options.encoding in the spec, or deliver the file again",
        )
