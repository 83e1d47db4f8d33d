"""Clients of services: BigQuery, Kubernetes, and what their errors mean."""
