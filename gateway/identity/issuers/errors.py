"""What can go wrong with an issuer that answers over the network."""

from __future__ import annotations


class IssuerUnavailableError(Exception):
    """An issuer did not answer, or not with what it should: nobody knows if a token is good."""
