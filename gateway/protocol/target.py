"""The request target: decided once, so that routing, authorization and upstream see one path.

A path is refused rather than repaired: whoever repairs it differently would see another path.
`%2F` stays, because a path parameter may hold a slash; route on the raw path.
"""

from __future__ import annotations

import re
from string import ascii_letters, digits
from urllib.parse import unquote_to_bytes

from portico.problems import MALFORMED_REQUEST, NOT_IMPLEMENTED, Problem

# What needs no second look. Dots are left out because of dot segments, percent signs because of
# what they may hide.
_CLEAN = (ascii_letters + digits + "/-_~").encode()
_CLEAN_WITH_QUERY = _CLEAN + b"?=&,:"
# Anywhere in a target: controls, space, DEL, everything above ASCII, and a fragment.
_NEVER_IN_TARGET = re.compile(rb"[\x00-\x20\x7f-\xff#]")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
# C0, DEL and C1 controls: they end header fields, log lines and terminals' patience.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# `..;x` counts too: some servers cut matrix parameters off before they resolve dot segments.
_DOT_SEGMENT = re.compile(r"(?:^|/)\.\.?(?:;[^/]*)?(?:/|\Z)")
_ABSOLUTE = re.compile(rb"(https?)://([^/?]*)(.*)\Z", re.IGNORECASE)
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


def check_target(raw_path: bytes) -> Problem | None:
    """Return what is wrong with a raw path, None if every reader will see the same path in it."""
    if not raw_path.translate(None, _CLEAN):
        return None
    reason = _path_fault(raw_path)
    return Problem(MALFORMED_REQUEST, reason) if reason else None


def _path_fault(raw_path: bytes) -> str:
    if _NEVER_IN_TARGET.search(raw_path):
        return "the path contains a character that must be percent-encoded"
    if _BAD_ESCAPE.search(raw_path):
        return "the path contains a percent sign that two hexadecimal digits do not follow"
    try:
        path = unquote_to_bytes(raw_path).decode()
    except UnicodeDecodeError:
        return "the path is not UTF-8 after percent-decoding"
    if _CONTROL.search(path):
        return "the path contains a control character"
    if "\\" in path:
        return "the path contains a backslash"
    if _DOT_SEGMENT.search(path):
        return "the path contains a dot segment"
    return ""


def split_target(method: bytes, target: bytes, host: bytes) -> tuple[bytes, bytes]:
    """Return the raw path and the query of a request target; raise `Problem` if it is not clean."""
    if target[:1] == b"/" and not target.translate(None, _CLEAN_WITH_QUERY):
        path, _, query = target.partition(b"?")
        return path, query
    if method == b"CONNECT":
        raise Problem(NOT_IMPLEMENTED, "tunnels are not offered")
    if target[:1] != b"/" and target != b"*":
        target = _origin_form(target, host)
    path, _, query = target.partition(b"?")
    if path == b"*" and method == b"OPTIONS" and not query:
        return path, query
    if _NEVER_IN_TARGET.search(query):
        raise Problem(MALFORMED_REQUEST, "the query contains a character that must be encoded")
    if path[:1] != b"/":
        raise Problem(MALFORMED_REQUEST, "the request target must start with a slash")
    problem = check_target(path)
    if problem is not None:
        raise problem
    return path, query


def _origin_form(target: bytes, host: bytes) -> bytes:
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        raise Problem(MALFORMED_REQUEST, "the request target must start with a slash")
    scheme, authority, rest = absolute.groups()
    # HTTP/1.0 may come without Host; then there is nothing the authority could contradict.
    if host and _authority(scheme, authority) != _authority(scheme, host):
        raise Problem(MALFORMED_REQUEST, "the authority of the request target differs from Host")
    return rest if rest[:1] == b"/" else b"/" + rest


def _authority(scheme: bytes, authority: bytes) -> bytes:
    return authority.lower().removesuffix(_DEFAULT_PORTS[scheme.lower()])
