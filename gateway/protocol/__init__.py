"""What stands between the socket and the pipeline: framing, bounds, refusals, serving, draining."""
