"""The graphs, their nodes, and the service that runs them."""
