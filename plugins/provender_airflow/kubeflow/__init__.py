"""Training runs as Airflow sees them: a value, and a backend that runs it."""
