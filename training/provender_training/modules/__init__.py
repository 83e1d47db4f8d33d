"""Training modules: each gives an estimator that is not fitted yet.

A module, named in a model's ``training.module``, is any importable Python module with one function::

    def build(inputs: Sequence[Column], mode: str, parameters: Mapping[str, Any]) -> Estimator

``inputs`` are the model's columns in the order in which it takes them, with their types; ``mode`` is
``classification`` or ``regression``; ``parameters`` are ``training.parameters`` of the spec. The estimator has
scikit-learn's ``fit(X, y)``, ``predict(X)`` and, for a classification, ``predict_proba(X)``; ``X`` is what
:func:`provender.model_registry.inputs.model_input` gives. All preprocessing is part of it, since it is what is
served, and it is made of scikit-learn's classes only: the file format holds no code, so it cannot hold a class of
yours. The same rows have to give the same estimator: fix ``random_state``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from provender.errors import SpecError
from provender.model_registry.artifact import Column


class Estimator(Protocol):
    """The part of scikit-learn's interface that is used; a classifier has ``predict_proba`` too."""

    def fit(self, X: Any, y: Any) -> Any: ...  # noqa: N803 (scikit-learn's name)

    def predict(self, X: Any) -> Any: ...  # noqa: N803


class Module(Protocol):
    """A training module."""

    def build(self, inputs: Sequence[Column], mode: str, parameters: Mapping[str, Any]) -> Estimator: ...


def build(name: str, inputs: Sequence[Column], mode: str, parameters: Mapping[str, Any]) -> Estimator:
    """The estimator of module ``name``. Raises :class:`SpecError` if there is no such module or it refuses."""
    where = "training.module of the model's spec"
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise SpecError(
            f"the training module {name!r} cannot be imported: {error}",
            where=where,
            remedy="name a Python module of the training environment, such as "
            "provender_training.modules.gradient_boosting",
        ) from error
    if not callable(getattr(module, "build", None)):
        raise SpecError(
            f"{name!r} is no training module: it has no function 'build'",
            where=where,
            remedy="define build(inputs, mode, parameters); docs/kubeflow.md shows one",
        )
    try:
        return cast(Module, module).build(inputs, mode, parameters)
    except (TypeError, ValueError) as error:
        raise SpecError(
            f"{name} does not take these parameters: {error}",
            where="training.parameters of the model's spec",
            remedy="see the scikit-learn estimator that the module builds",
        ) from error
