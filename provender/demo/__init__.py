"""The demo's raw data: what would arrive from outside."""
