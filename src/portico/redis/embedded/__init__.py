"""A real Valkey or Redis that Portico starts in a data folder, for one host."""
