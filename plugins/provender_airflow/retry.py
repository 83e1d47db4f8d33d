"""Which errors are tried again, and when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy
from airflow.sdk.definitions.retry_policy import RetryAction, RetryRule

from provender.errors import ProvenderError, TerminalError

RETRIES = 4


def retry_policy(*also_final: type[ProvenderError]) -> ExceptionRetryPolicy:
    """Fails at once on what no retry can fix; everything else follows the task's own settings."""
    final: list[type[BaseException] | str] = [TerminalError, *also_final]
    return ExceptionRetryPolicy(
        rules=[RetryRule(exception=final, action=RetryAction.FAIL, reason="no retry can fix it")]
    )


def retry_arguments(*also_final: type[ProvenderError]) -> dict[str, Any]:
    """Operator arguments: retries with exponential backoff, 5 s to 10 min.

    The first delay is shorter than a local job's lease, so that a killed task finds its job still running.
    """
    return {
        "retries": RETRIES,
        "retry_delay": timedelta(seconds=5),
        "retry_exponential_backoff": 3.0,
        "max_retry_delay": timedelta(minutes=10),
        "retry_policy": retry_policy(*also_final),
    }
