"""The catalog of features, sources and models as pages of Airflow's API server."""
