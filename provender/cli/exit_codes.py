"""What the exit code of a ``provender`` command means."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Scripts may rely on these; ``docs/cli.md`` lists them."""

    DONE = 0, "done"
    DIFFERENT = 1, "done, and the answer is no: problems, a difference, a service that does not run"
    USAGE = 2, "wrong usage: the command line cannot be understood"
    TERMINAL = 3, "an error that no retry can fix: a file, a setting or the data has to change"
    TRANSIENT = 4, "an error that trying again later can fix"
    INTERRUPTED = 130, "interrupted"

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code


def as_text() -> str:
    """One line for each, for ``provender --help``."""
    return "\n".join(["exit codes:", *(f"  {code:<4d} {code.meaning}" for code in ExitCode)])
