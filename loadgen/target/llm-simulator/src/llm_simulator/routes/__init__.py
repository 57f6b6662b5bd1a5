"""HTTP: parse, one call, render. One module for each resource."""
