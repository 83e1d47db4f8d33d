"""Why a feature has the value that it has, told from the log, the ledger and the raw rows.

log of the key ─▶ the answer, or the rule that made it null ─▶ what was before and after it, and why it changed
ledger         ─▶ manifest, attempt, spec hash and code of each version
raw rows       ─▶ the value, computed again and compared
online store   ─▶ what is served, and what the guard makes of the log's row
"""

from __future__ import annotations

from provender.explain.asked import Question
from provender.explain.explanation import Explanation
from provender.explain.run import explain

__all__ = ["Explanation", "Question", "explain"]
