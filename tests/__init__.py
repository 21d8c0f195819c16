"""The tests are a package so that no other `tests`, which some distributions install, is meant."""
