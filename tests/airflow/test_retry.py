from __future__ import annotations

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction

from provender import errors
from provender.errors import (
    ProvenderError,
    SourceNotReadyError,
    TerminalError,
    TransientError,
)
from provender_airflow.retry import retry_policy

pytestmark = pytest.mark.airflow


def kinds_of(root: type[ProvenderError]) -> list[type[ProvenderError]]:
    return [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, root)]


@pytest.mark.parametrize("kind", kinds_of(TerminalError))
def test_what_no_retry_can_mend_fails_at_once(kind: type[ProvenderError]) -> None:
    assert retry_policy().evaluate(kind("x"), 1, 4).action is RetryAction.FAIL


@pytest.mark.parametrize("kind", [*kinds_of(TransientError), OSError, ValueError])
def test_everything_else_is_tried_again(kind: type[Exception]) -> None:
    assert retry_policy().evaluate(kind("x"), 1, 4).action is RetryAction.DEFAULT


def test_data_that_did_not_come_in_time_is_not_awaited_again() -> None:
    policy = retry_policy(SourceNotReadyError)
    assert policy.evaluate(SourceNotReadyError("late"), 1, 4).action is RetryAction.FAIL


def test_a_policy_survives_serialization() -> None:
    policy = retry_policy()
    assert (
        type(policy).deserialize(policy.serialize()).evaluate(TerminalError("x"), 1, 4).action
        is RetryAction.FAIL
    )
