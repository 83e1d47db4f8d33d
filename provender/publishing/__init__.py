"""Publish feature logs to BigQuery."""
