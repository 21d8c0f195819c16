"""The process API order-to-cash.v1: from a subscription to an invoice in the books."""
