"""Links of responses that lead to no operation."""

from __future__ import annotations

from collections.abc import Iterator

from portico.contract.bundle import Bundle
from portico.contract.findings import Finding
from portico.contract.identifiers import pointer_parts
from portico.contract.operations import operations_of
from portico.contract.walk import Pointer, all_objects, kind_at


def link_findings(bundle: Bundle) -> Iterator[Finding]:
    """Yield a finding for each link whose operation is not in the document."""
    ids = {node.get("operationId") for _, _, _, _, node in operations_of(bundle.document)}
    for node, pointer, kind in all_objects(bundle.document):
        if kind != "link":
            continue
        name, reference = node.get("operationId"), node.get("operationRef")
        if name is not None and name not in ids:
            yield _finding(bundle, (*pointer, "operationId"), str(name))
        if isinstance(reference, str) and not _leads_somewhere(bundle, reference):
            yield _finding(bundle, (*pointer, "operationRef"), reference)


def _finding(bundle: Bundle, pointer: Pointer, name: str) -> Finding:
    return bundle.finding(
        pointer,
        "unknown-link",
        f"the link leads to {name[:100]!r}, which is no operation of the document",
        "correct the name, or remove the link",
    )


def _leads_somewhere(bundle: Bundle, reference: str) -> bool:
    """Tell whether a reference names an operation; those of other documents are not followed."""
    if not reference.startswith("#"):
        return True
    parts = pointer_parts(reference[1:])
    if parts is None or kind_at(parts) != "operation":
        return False
    node = bundle.document
    for part in parts:
        node = node.get(part, {})
    return bool(node)
