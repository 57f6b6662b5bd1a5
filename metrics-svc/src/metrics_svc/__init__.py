"""metrics_svc."""
