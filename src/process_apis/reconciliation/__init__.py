"""The process API reconciliation.v1: whether the systems agree, and what to do where not."""
