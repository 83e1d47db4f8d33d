"""Trains provender's models: a Kubeflow pipeline of three steps, in an environment of its own.

load (:mod:`.loading`) → train and evaluate (:mod:`.steps`); the pipeline calls :mod:`.components`.
"""
