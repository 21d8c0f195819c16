"""An API of the network that tests run."""
