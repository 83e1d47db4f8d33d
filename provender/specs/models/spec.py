"""What a model spec says, as frozen values. Reading and checking YAML is :mod:`provender.specs.models.loader`.

The field docs here are the reference for ``feature_defs/models/<name>.yaml``.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from provender.kubernetes_fields import Cpu, Memory
from provender.specs.source import EVENT_TIMESTAMP, ColumnName, Duration, Identifier, OutputColumn


def _reference(value: str) -> str:
    view, separator, feature = value.partition(":")
    if not (view and separator and feature) or ":" in feature:
        raise ValueError(f"{value!r} is no feature reference; write view:feature")
    return value


FeatureReference = Annotated[str, AfterValidator(_reference)]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entities(_Spec):
    """The rows a model is trained on: join keys, ``event_timestamp``, request columns, label."""

    source: Identifier | None = None
    """The source whose raw table the SQL reads."""
    sql: str | None = None
    """File of a Spark SQL query over the source's name, beside the spec. It sees the accepted raw rows of the
    periods in the window and gives ``event_timestamp``, the moment at which the prediction is asked for."""
    uri: str | None = None
    """Instead: a Parquet or CSV file of such rows. Relative to ``feature_store.yaml``."""

    @model_validator(mode="after")
    def _one_origin(self) -> Entities:
        if (self.sql is None) == (self.uri is None):
            raise ValueError("either 'sql' or 'uri'; keep one of them")
        if self.sql is not None and self.source is None:
            raise ValueError("'sql' needs 'source'; name the source whose raw table it reads")
        if self.uri is not None and self.source is not None:
            raise ValueError("'source' belongs to 'sql'; remove it")
        return self


class Mode(StrEnum):
    """What the label is. A classification has two classes, and predicts the probability of the second."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


class Training(_Spec):
    """How the model is fitted."""

    module: str = "provender_training.modules.gradient_boosting"
    """Python module of the training environment; its interface is in ``docs/kubeflow.md``."""
    mode: Mode = Mode.CLASSIFICATION
    """``classification`` (two classes; predicts the probability of the second) or ``regression``."""
    test_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the rows, the latest ones, that the model is tested on."""
    parameters: dict[str, Any] = {}
    """Hyperparameters, passed to the module."""


class GateRule(_Spec):
    """One condition on the held-out rows. A metric is a name in ``metrics.json`` of the model."""

    metric: str
    """Name of a metric in the model's ``metrics.json``."""
    min: float | None = None
    """The metric must be at least this."""
    max: float | None = None
    """The metric must be at most this."""
    max_drop: float | None = Field(default=None, ge=0)
    """How much less than the serving model's it may be, on the same rows."""
    max_rise: float | None = Field(default=None, ge=0)
    """How much more than the serving model's it may be, on the same rows."""

    @model_validator(mode="after")
    def _says_something(self) -> GateRule:
        if all(limit is None for limit in (self.min, self.max, self.max_drop, self.max_rise)):
            raise ValueError("a rule without a limit; add min, max, max_drop or max_rise")
        return self


class Policy(StrEnum):
    """What a served model does without a value."""

    AS_NULL = "as_null"
    """Null, as in training."""
    DEFAULT = "default"
    """The value under ``defaults``; null where there is none."""
    REFUSE = "refuse"
    """The request is answered with an error that names entity and features."""


class Replicas(_Spec):
    """How many servers, on a cluster."""

    min: int = Field(default=1, ge=0)
    """Fewest servers."""
    max: int = Field(default=1, ge=1)
    """Most servers."""

    @model_validator(mode="after")
    def _ordered(self) -> Replicas:
        if self.min > self.max:
            raise ValueError("min is more than max; swap them")
        return self


class Resources(_Spec):
    """Resource requests of one server, in Kubernetes' units."""

    cpu: Annotated[Cpu, Field(min_length=1)] = "1"
    """CPU request."""
    memory: Memory = "1Gi"
    """Memory request."""


class Serving(_Spec):
    """How the model is served."""

    replicas: Replicas = Replicas()
    """How many servers, on a cluster."""
    resources: Resources = Resources()
    """Resource requests of one server, on a cluster."""
    canary: tuple[int, ...] = ()
    """Percentages of the traffic that a new version gets before all of it, rising."""
    unknown_entity: Policy = Policy.AS_NULL
    """Policy if no feature of the entity is online: ``as_null``, ``default`` or ``refuse``."""
    missing: Policy = Policy.AS_NULL
    """Policy if the entity is known and the feature is missing (never written, or null)."""
    stale: Policy = Policy.AS_NULL
    """Policy if the value is older than its view's ttl."""
    defaults: dict[str, float | int | str | bool] = {}
    """``view__feature`` to its value under the policy ``default``."""
    smoke_entities: int = Field(default=5, ge=1, le=1000)
    """How many of the newest entities a deployment's smoke test asks for."""
    timeout: Duration = timedelta(minutes=5)
    """How long a version may take to become ready."""

    @model_validator(mode="after")
    def _rising(self) -> Serving:
        if any(not 0 < step < 100 for step in self.canary) or sorted(set(self.canary)) != list(self.canary):
            raise ValueError("canary: not rising percentages; write numbers between 1 and 99, rising")
        return self


class ModelSpec(_Spec):
    """One model: its rows, features, training, gate and serving."""

    name: Identifier
    """Lower-case letters, digits and ``_``; the name of the file."""
    description: str = ""
    """Text for people, shown in Airflow."""
    owner: str
    """Who is responsible, shown in Airflow."""
    tags: tuple[str, ...] = ()
    """Labels, shown in Airflow."""
    entities: Entities
    """The rows to train on."""
    label: ColumnName
    """The column to predict."""
    features: tuple[FeatureReference, ...] = ()
    """Feast's references, ``view:feature``. In the training set and the signature: ``view__feature``."""
    feature_service: str | None = None
    """Instead: a feature service of the views."""
    request: tuple[OutputColumn, ...] = ()
    """Columns of the entity rows that a request also provides, and that the model reads. A join key may be one."""
    as_known: bool = True
    """Whether only versions created by the row's time are joined: what could be known then. False: what was true
    then, later corrections included."""
    window: Duration = timedelta(days=90)
    """Training rows are those of the raw periods in ``[end of the run's partition - window, end)``."""
    training: Training = Training()
    """How the model is fitted."""
    gate: tuple[GateRule, ...] = ()
    """Conditions under which a trained version may be deployed."""
    approval: bool = False
    """Whether a person has to approve each deployment in Airflow."""
    serving: Serving = Serving()
    """How the model is served."""

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        if bool(self.features) == (self.feature_service is not None):
            raise ValueError("either 'features' or 'feature_service'; keep one of them")
        names = [column.name for column in self.request]
        if self.label in names:
            raise ValueError(f"the label {self.label!r} is a request column; no request can bring it")
        if EVENT_TIMESTAMP in (self.label, *names):
            raise ValueError(f"{EVENT_TIMESTAMP} is neither label nor request column; rename the column")
        if len(set(names)) < len(names):
            raise ValueError("a request column is named twice; remove one")
        if len(set(self.features)) < len(self.features):
            raise ValueError("a feature is named twice; remove one")
        return self
