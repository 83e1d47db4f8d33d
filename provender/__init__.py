"""provender: a batch feature platform on Airflow, Spark and Feast."""

__version__ = "0.1.0"
