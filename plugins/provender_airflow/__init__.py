"""Airflow's side of provender: operators, triggers, Spark backends, and the DAGs made of them.

dag_factory.py   a source's spec → its DAG
partitions.py    a run → the partitions it means
operators/       stage, ingest, materialize, publish, apply, historical features, waiting for data
triggers/        polling only
spark/           one value (SparkJob) and the backends that run it
retry.py         which errors are tried again
docs.py          what the UI shows of a source
"""
