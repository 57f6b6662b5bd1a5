"""A gentle, endless stream of requests to the reference workload."""
