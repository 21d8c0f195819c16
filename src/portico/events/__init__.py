"""Events between tiers: CloudEvents under contracts, over a bus that may deliver twice.

An event is written to the outbox with the step it belongs to; from there it reaches the bus, and
from the bus each group of subscribers once.
"""
