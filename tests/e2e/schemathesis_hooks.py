"""What schemathesis must know and no schema can say."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import schemathesis

KEY = "Idempotency-Key"
# schemathesis sends one valid key with many bodies; what is not a key stays as it made it.
VALID = re.compile(r'"?[A-Za-z0-9._~:/+=@-]{1,198}"?')
DELIVERY = "requestedDelivery"
LATER = "2040-01-31"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Use each key for one request only, and ask for no delivery in the past."""
    del context, kwargs
    if VALID.fullmatch(str((case.headers or {}).get(KEY, ""))):
        case.headers[KEY] = str(uuid4())
    body = case.body
    if isinstance(body, dict) and isinstance(body.get(DELIVERY), str) and body[DELIVERY] < LATER:
        case.body = {**body, DELIVERY: LATER}
