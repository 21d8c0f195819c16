"""A Stripe account for development: what Stripe's own libraries take for the real thing."""
