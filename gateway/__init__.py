"""The gateway: policy and composition. It is the only part that knows every tier."""
