"""A process API with a workflow."""
