"""What connectors to vendors share: connection, credentials, limits, failures, pages, exact values.

A connector writes only what is particular to its vendor: a `Dialect` that says what its errors
mean, its credentials, its requests and its mapping. Nothing here knows a vendor.
"""
