"""The process APIs: one package an API, named like its contract."""
