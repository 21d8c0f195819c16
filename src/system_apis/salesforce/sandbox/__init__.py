"""An org on loopback: the part of Salesforce's REST API that vendors' clients and we use.

It answers what a real org does, its mistakes included, and holds its records in memory. It is no
place for Apex, flows, sharing rules, Bulk API or events.
"""
