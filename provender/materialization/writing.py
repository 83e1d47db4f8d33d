"""What both engines do around the rows they write: the stamp of a full rebuild, and the sweep after it."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from provender.materialization.plan import ViewPlan, Written
from provender.online.pipeline import Counts
from provender.online.writer import OnlineWriter

Write = Callable[[ViewPlan], Written]


def generation_of(plan: ViewPlan, is_whole: bool) -> str | None:
    """Return a stamp for the rows of a full rebuild, so that what has another can be removed.

    A part has none: it must neither replace what is newer nor remove what it did not look at."""
    return secrets.token_hex(8) if plan.since is None and is_whole else None


def remove_stale_keys(writer: OnlineWriter, plan: ViewPlan, generation: str | None) -> Counts:
    """Delete the keys that a full rebuild did not write, and count them; a partial write deletes none."""
    return Counts() if generation is None else Counts(deleted=writer.sweep(plan.view.layout, generation))
