"""The experience APIs: one package an API, named like its contract."""
