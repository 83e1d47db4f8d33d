"""Trains provender's models: a Kubeflow pipeline of three steps, in an environment of its own.

load (:mod:`.data`) → train (:mod:`.fit`) → evaluate (:mod:`.evaluation`); :mod:`.steps` is what the pipeline calls.
"""
