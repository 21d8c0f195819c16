"""A QuickBooks company for development: what clients for QuickBooks take for the real thing."""
