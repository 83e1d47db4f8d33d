"""Every way in which a request can fail, with its HTTP status and body.

    BadRequestError       400   the request is malformed: each field and instance is named
    TooManyError          413   the request has more instances than the server takes at once
    RefusedError          422   the request is well-formed, but a value it needs is not there, and the policy is refuse
    OnlineStoreError      503   Redis does not answer (provender's own error, with the address)
    LoadError             503   a model was not loaded: the answer to /load; what served before serves on

KServe's own: 404 for a model that is not there, 503 for one that is not ready, 500 for an error inside the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_SHOWN = 10
_LISTED = 100
"""Most problems, or refusals, that an answer holds; it always says how many there are."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a request."""

    field: str
    problem: str
    instance: int | None = None
    """Position in ``instances``; None for the request itself."""

    def __str__(self) -> str:
        where = "" if self.instance is None else f"instance {self.instance}, "
        return f"{where}field {self.field!r}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A feature that was not there for an instance."""

    instance: int
    feature: str
    status: str
    """``missing``, ``stale`` or ``unknown_entity``."""
    entity: dict[str, Any]

    def __str__(self) -> str:
        return (
            f"instance {self.instance}: {self.feature} is {self.status.replace('_', ' ')} for {self.entity}"
        )


class RequestError(Exception):
    """Answered with ``status`` and :meth:`document`."""

    status = 500

    def document(self) -> dict[str, Any]:
        """The JSON body."""
        return {"error": str(self)}


class BadRequestError(RequestError):
    """400."""

    status = 400

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = problems
        super().__init__(_listed(problems))

    def document(self) -> dict[str, Any]:
        return {"error": str(self), "problems": _documents(self.problems), "count": len(self.problems)}


class RefusedError(RequestError):
    """422."""

    status = 422

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = refusals
        super().__init__(_listed(refusals))

    def document(self) -> dict[str, Any]:
        return {"error": str(self), "refused": _documents(self.refusals), "count": len(self.refusals)}


class TooManyError(RequestError):
    """413."""

    status = 413

    def __init__(self, instances: int, most: int) -> None:
        super().__init__(
            f"{instances} instances in one request; at most {most}: send the rest in further requests"
        )


class LoadError(Exception):
    """Why a model was not loaded; ``terminal`` unless trying again can help."""

    terminal = True


class LoadLaterError(LoadError):
    """Redis or the storage does not answer now."""

    terminal = False


def bad_request(field: str, problem: str, instance: int | None = None) -> BadRequestError:
    """A :class:`BadRequestError` with one problem."""
    return BadRequestError([Problem(field, problem, instance)])


def _documents(found: Sequence[Problem] | Sequence[Refusal]) -> list[dict[str, Any]]:
    return [asdict(one) for one in found[:_LISTED]]


def _listed(found: Sequence[object]) -> str:
    shown = "; ".join(str(one) for one in found[:_SHOWN])
    return shown if len(found) <= _SHOWN else f"{shown}; and {len(found) - _SHOWN} more"
