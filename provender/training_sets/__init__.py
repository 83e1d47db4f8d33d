"""Training sets: entity rows with features beside them as of each row's time, and a lockfile to build them again.

training_sets/<name>/<id>/
    entities.parquet    the entity rows, staged
    data.parquet        the same rows with the features
    report.html         for people
    lockfile.json       what it was built from; written last: without it there is no training set
training_sets/<name>/attempts/<attempt>.json    which training set an attempt ended in
"""
