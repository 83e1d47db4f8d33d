"""Serving backends with Airflow's connections. What they do is :mod:`provender.kserve` and :mod:`provender.local`."""
