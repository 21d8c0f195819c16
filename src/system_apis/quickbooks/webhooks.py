"""Webhooks from Intuit: CloudEvents with ids only, signed over the raw body.

`intuit-signature` is the base64 HMAC-SHA256 of the body with the verifier token of the app; there
is no time in it, so an old message can be told only by its id. Messages come late, twice and in any
order: read the record for how it is now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portico.connectors import exact_json
from portico.connectors.failures import BrokenError
from portico.connectors.record import Record
from portico.connectors.signatures import SignatureError, base64_hmac_sha256, verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A record was changed. `type` is such as `qbo.invoice.updated.v1`."""

    id: str
    type: str
    time: str
    realm_id: str
    record_id: str


def read_notices(body: bytes, signature: str, verifier_tokens: Sequence[str]) -> list[Notice]:
    """Return what a message tells; raises SignatureError.

    There are several tokens while the one of the app is replaced: any of them will do.
    """
    verify([base64_hmac_sha256(token, body) for token in verifier_tokens], [signature])
    try:
        document = exact_json.decode(body)
        entries = document if isinstance(document, list) else [document]
        return [_notice(Record(entry)) for entry in entries]
    except (ValueError, BrokenError) as error:
        raise SignatureError("the message is signed and is not a list of CloudEvents") from error


def _notice(record: Record) -> Notice:
    return Notice(
        id=record.text("id"),
        type=record.text("type"),
        time=record.text("time"),
        realm_id=record.text("intuitaccountid"),
        record_id=record.text("intuitentityid"),
    )
