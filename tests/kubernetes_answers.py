"""What a real API server answers, for the servers of the tests that stand in for one.

``kubernetes_answers.json`` was recorded from the version that it names; ``tests/cluster/test_answers.py`` asks a real
server the same and compares. The one answer that a healthy server does not give, 429, is as Kubernetes' documentation
of "API Priority and Fairness" has it: a ``Status`` with the reason ``TooManyRequests``, and ``Retry-After`` in seconds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_RECORDED = json.loads(Path(__file__).with_suffix(".json").read_text())
SERVER: str = _RECORDED["server"]
ANSWERS: dict[str, dict[str, Any]] = _RECORDED["answers"]


def answer(name: str, /, **values: str) -> tuple[int, dict[str, Any]]:
    """Status and body of a recorded answer; ``values`` fill the places of its message."""
    found = ANSWERS[name]
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "code": found["status"],
    }
    reason = {"reason": found["reason"]} if "reason" in found else {}
    return found["status"], status | reason | {"message": message(name, **values)}


def message(name: str, /, **values: str) -> str:
    """The message of a recorded answer."""
    text: str = ANSWERS[name]["message"]
    for key, value in values.items():
        text = text.replace(f"{{{key}}}", value)
    return text
