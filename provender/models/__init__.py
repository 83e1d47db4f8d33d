"""Models after training: artifacts, what serves, the gate, deployments."""
