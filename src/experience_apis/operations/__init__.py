"""The experience API operations.v1: what the people need who look after the network."""
