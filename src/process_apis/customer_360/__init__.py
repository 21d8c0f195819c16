"""The process API customer-360.v1: everything the systems know of one customer."""
