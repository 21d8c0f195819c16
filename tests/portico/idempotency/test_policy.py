"""Policies that promise what they cannot keep do not start."""

from __future__ import annotations

from typing import Any

import pytest

from portico.idempotency.policy import Disposition, InDoubt, Policy, Sending


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"lease_seconds": 0}, "lease_seconds"),
        ({"lease_seconds": 4000}, "lease_seconds"),
        ({"lease_seconds": 30, "retention_seconds": 30}, "two leases"),
        ({"max_body_bytes": -1}, "negative"),
        ({"in_doubt": InDoubt.REEXECUTE}, "reexecutable"),
        ({"on_error": Disposition.RELEASE}, "reexecutable"),
        ({"on_exception": Disposition.RELEASE}, "reexecutable"),
        ({"sending": "sometimes"}, "sometimes"),
    ],
)
def test_idm_34_a_policy_that_cannot_be_kept_is_refused(
    settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        Policy(**settings)


def test_idm_34_a_reexecutable_operation_may_be_released_and_run_again() -> None:
    policy = Policy(reexecutable=True, on_error=Disposition.RELEASE, in_doubt=InDoubt.REEXECUTE)

    assert policy.settings == b"X U 30000 86400000"


def test_the_words_of_a_configuration_name_choices() -> None:
    words: dict[str, Any] = {"sending": "recorded", "on_error": "in_doubt"}
    policy = Policy(**words)

    assert policy.sending is Sending.RECORDED
    assert policy.on_error is Disposition.IN_DOUBT
