"""The process API orders.v1: places orders and follows them, whatever system keeps them."""
