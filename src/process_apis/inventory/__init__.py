"""The process API inventory.v1: what can be promised of many products."""
