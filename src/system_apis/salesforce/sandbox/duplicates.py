"""The duplicate rules of the org: an account of the same name and place, a contact of one email.

Real rules compare loosely; these compare exactly, whatever the case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from system_apis.salesforce.sandbox.errors import RefusalError

if TYPE_CHECKING:
    from system_apis.salesforce.sandbox.store import Store

_COMPARED: Mapping[str, tuple[str, ...]] = {
    "Account": ("Name", "BillingPostalCode"),
    "Contact": ("Email",),
}


def check(store: Store, name: str, record: Mapping[str, Any], version: str) -> None:
    """Raise RefusalError if the rule of an object finds records like this one."""
    compared = _COMPARED.get(name)
    if compared is None:
        return
    key = [str(record.get(field) or "").casefold() for field in compared]
    if not all(key):
        return
    matches = [
        other["Id"]
        for other in store.records(name)
        if other["Id"] != record["Id"]
        and [str(other.get(field) or "").casefold() for field in compared] == key
    ]
    if matches:
        raise RefusalError(
            400,
            "DUPLICATES_DETECTED",
            "Use one of these records?",
            [],
            extra={"duplicateResult": _result(name, matches, version)},
        )


def _result(name: str, matches: list[str], version: str) -> dict[str, object]:
    return {
        "allowSave": True,
        "duplicateRule": f"Standard_{name}_Duplicate_Rule",
        "duplicateRuleEntityType": name,
        "errorMessage": "Use one of these records?",
        "matchResults": [
            {
                "entityType": name,
                "errors": [],
                "matchEngine": "ExactMatchEngine",
                "matchRecords": [_match(name, found, version) for found in matches],
                "rule": f"Standard_{name}_Match_Rule_v1_0",
                "size": len(matches),
                "success": True,
            }
        ],
    }


def _match(name: str, found: str, version: str) -> dict[str, object]:
    url = f"/services/data/{version}/sobjects/{name}/{found}"
    return {
        "additionalInformation": [],
        "fieldDiffs": [],
        "matchConfidence": 100.0,
        "record": {"attributes": {"type": name, "url": url}, "Id": found},
    }
