"""Feature tables in BigQuery, for those who read them there: Feast's own BigQuery store, SQL, dashboards.

Nothing of this is imported unless ``provender.bigquery`` is in the settings and something is published, and only
:mod:`provender.bigquery.client` and what is used with it import Google's client.
"""
