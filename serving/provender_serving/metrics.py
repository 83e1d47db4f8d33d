"""Prometheus metrics of the predictor, on ``/metrics`` beside KServe's own.

    provender_requests_total{model,protocol,code}          requests by HTTP status
    provender_request_seconds{model,protocol}              histogram: the whole request, as the server sees it
    provender_instances_total{model}                       rows predicted
    provender_batch_instances{model}                       histogram: rows predicted at once
    provender_feature_values_total{model,feature,status}   present, missing, stale, unknown_entity, given
    provender_feature_missing_share{model,feature}         of the last 10,000 looked up: missing, stale or unknown
    provender_feature_age_seconds{model,view}              histogram: request's time minus event timestamp
    provender_model_info{model,version}                    1 for what serves
    provender_model_loads_total{model,outcome}             loaded, failed

Values are tallied in plain integers and put into Prometheus' form only when somebody asks: a request of a hundred
instances with twenty features must not cost two thousand locks.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Protocol

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

_LATENCIES = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_AGES = (60, 600, 3600, 3 * 3600, 6 * 3600, 86_400, 2 * 86_400, 7 * 86_400, 30 * 86_400, 365 * 86_400)
_SHARE_WINDOW = 10_000

disable_created_metrics()  # type: ignore[no-untyped-call]  # a time series more for each of the others

REQUESTS = Counter("provender_requests", "Requests by HTTP status.", ["model", "protocol", "code"])
SECONDS = Histogram(
    "provender_request_seconds", "Seconds of a whole request.", ["model", "protocol"], buckets=_LATENCIES
)
INSTANCES = Counter("provender_instances", "Rows predicted.", ["model"])
BATCHES = Histogram(
    "provender_batch_instances",
    "Rows predicted at once.",
    ["model"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
MODELS = Gauge("provender_model_info", "1 for the version that serves.", ["model", "version"])
LOADS = Counter("provender_model_loads", "Loads of a model, first and later ones.", ["model", "outcome"])


class _Times(Protocol):
    @property
    def event(self) -> Sequence[int | None]: ...


class _Timed(Protocol):
    @property
    def time(self) -> int: ...


class FeatureTally:
    """Counts of one model's feature values."""

    def __init__(self) -> None:
        self._statuses: dict[str, Tally[str]] = {}
        self._recent: dict[str, tuple[float, float]] = {}
        self._ages: dict[str, list[int]] = {}
        self._age_sums: dict[str, float] = {}
        self._lock = threading.Lock()

    def count(self, feature: str, statuses: Sequence[str]) -> None:
        """One status per instance."""
        with self._lock:
            tally = Tally(statuses)
            self._statuses.setdefault(feature, Tally()).update(tally)
            looked_up = len(statuses) - tally.get("given", 0)
            if looked_up:
                absent = looked_up - tally.get("present", 0)
                self._remember(feature, looked_up, absent)

    def observe_ages(self, instances: Sequence[_Timed], times: Mapping[str, _Times]) -> None:
        """Ages of each view's values at the instances' times; values of the future have no age."""
        with self._lock:
            for view, of_view in times.items():
                buckets = self._ages.setdefault(view, [0] * (len(_AGES) + 1))
                for instance, event in zip(instances, of_view.event, strict=True):
                    if event is not None and event <= instance.time:
                        age = (instance.time - event) / 1_000_000
                        buckets[bisect_left(_AGES, age)] += 1
                        self._age_sums[view] = self._age_sums.get(view, 0.0) + age

    def statuses(self) -> Iterable[tuple[str, str, int]]:
        """Feature, status, count."""
        with self._lock:
            return [(f, status, n) for f, tally in self._statuses.items() for status, n in tally.items()]

    def missing_shares(self) -> Iterable[tuple[str, float]]:
        """Feature, share in [0, 1]."""
        with self._lock:
            return [(feature, absent / seen) for feature, (seen, absent) in self._recent.items()]

    def ages(self) -> Iterable[tuple[str, list[tuple[str, float]], float]]:
        """View, cumulative buckets as Prometheus wants them, sum of seconds."""
        with self._lock:
            bounds = [*map(str, _AGES), "+Inf"]
            return [
                (
                    view,
                    list(zip(bounds, map(float, accumulate(counts)), strict=True)),
                    self._age_sums.get(view, 0.0),
                )
                for view, counts in self._ages.items()
            ]

    def _remember(self, feature: str, looked_up: int, absent: int) -> None:
        """Adds to what was seen lately; older values fade once there are more than the window holds."""
        seen, missed = self._recent.get(feature, (0.0, 0.0))
        seen, missed = seen + looked_up, missed + absent
        if seen > _SHARE_WINDOW:
            seen, missed = _SHARE_WINDOW, missed * _SHARE_WINDOW / seen
        self._recent[feature] = (seen, missed)


class _FeatureCollector(Collector):
    """Every model's tally, in Prometheus' form."""

    def __init__(self) -> None:
        self.tallies: dict[str, FeatureTally] = {}

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        values = CounterMetricFamily(
            "provender_feature_values", "Feature values by status.", labels=["model", "feature", "status"]
        )
        shares = GaugeMetricFamily(
            "provender_feature_missing_share",
            "Share of the latest 10,000 looked up that were missing, stale or of an unknown entity.",
            labels=["model", "feature"],
        )
        ages = HistogramMetricFamily(
            "provender_feature_age_seconds",
            "Age of the values at the requests' times.",
            labels=["model", "view"],
        )
        for model, tally in list(self.tallies.items()):
            for feature, status, count in tally.statuses():
                values.add_metric([model, feature, status], count)
            for feature, share in tally.missing_shares():
                shares.add_metric([model, feature], share)
            for view, buckets, total in tally.ages():
                ages.add_metric([model, view], buckets, total)
        return [values, shares, ages]


_COLLECTOR = _FeatureCollector()
REGISTRY.register(_COLLECTOR)


def tally_of(model: str) -> FeatureTally:
    """The tally of a model's name: it goes on when another version takes the name over."""
    return _COLLECTOR.tallies.setdefault(model, FeatureTally())


def show_model(name: str, version: str, before: str | None) -> None:
    """Says which version serves."""
    if before is not None and before != version:
        MODELS.remove(name, before)
    MODELS.labels(name, version).set(1)


def forget_model(name: str, version: str) -> None:
    """A model that is not served any more."""
    MODELS.remove(name, version)
