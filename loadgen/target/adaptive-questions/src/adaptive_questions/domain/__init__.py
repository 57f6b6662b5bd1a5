"""What the workload is about: values and pure functions, no I/O."""
