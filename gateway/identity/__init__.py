"""Who is calling: the built-in token issuer and the verification of access tokens.

Policy about identity lives here; what an operation requires is compiled from its contract.
"""
