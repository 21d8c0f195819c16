"""What sandboxes share: state, faults, webhooks, one company, and the process that serves them.

A sandbox is a server that a vendor's own client takes for the real thing. Connectors never import
this package or a sandbox: they reach them over their protocols.
"""
