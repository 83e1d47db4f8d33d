"""The contract: what a record's fields mean, and whether the source's spec allows it. In Arrow, without Spark.

    records (provender.records)  ─▶  typed values, moments in UTC  ─▶  checked rows, with reasons

There is one parser of times (:mod:`provender.contract.times`) and one of all other values
(:mod:`provender.contract.values`), whichever way the rows came: files, DataFrames, databases, BigQuery, the cut of a
location by its time column. They run in this process and on Spark's executors alike.
"""
