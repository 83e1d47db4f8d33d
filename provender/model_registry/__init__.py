"""Model artifacts, their versions, deployments, gates and runs."""
