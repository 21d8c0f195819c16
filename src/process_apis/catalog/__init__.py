"""The process API catalog.v1: what is for sale, whatever system holds it."""
