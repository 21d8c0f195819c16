"""Salesforce as a system API: its REST protocol, mapped to the canonical model."""
