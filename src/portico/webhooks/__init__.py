"""Webhooks: verified doors for those of vendors, and signed deliveries to subscribers."""
