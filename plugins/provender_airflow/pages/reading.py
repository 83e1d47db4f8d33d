"""What the pages read: the catalog as a person may see it, a source's calendar, an explanation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Generic, TypeVar

from provender.errors import ProvenderError
from provender.settings import Settings, load_settings
from provender.storage.readers import key_file
from provender_airflow.repo import deployed_repo
from provender_airflow.task_settings import google_key

PREFIX = "/provender/catalog"
_FRESH_SECONDS = 10.0
T = TypeVar("T")


@dataclass(frozen=True)
class Rights:
    """What a person may do, as Airflow's auth manager says."""

    readable: frozenset[str]
    """Ids of the DAGs that they may read."""
    triggerable: Callable[[str], bool]

    def may_trigger(self, dag_id: str) -> bool:
        """Whether they may start a run of the DAG."""
        return self.triggerable(dag_id)


def rights_of(user: Any) -> Rights:
    """Ask Airflow's auth manager once for every DAG."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.models.dag import DagModel

    manager = get_auth_manager()

    def may_trigger(dag_id: str) -> bool:
        details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
        return manager.is_authorized_dag(
            method="POST", access_entity=DagAccessEntity.RUN, details=details, user=user
        )

    return Rights(frozenset(manager.get_authorized_dag_ids(user=user, method="GET")), may_trigger)


class _Kept(Generic[T]):
    """A value per name, read again when it is older than a few seconds."""

    def __init__(self, read: Callable[[str], T]) -> None:
        self._read = read
        self._lock = Lock()
        self._values: dict[str, tuple[float, T]] = {}

    def get(self, name: str = "") -> T:
        with self._lock:
            made, value = self._values.get(name, (float("-inf"), None))
            if value is None or time.monotonic() - made > _FRESH_SECONDS:
                value = self._read(name)
                self._values[name] = (time.monotonic(), value)
            return value


def _settings() -> Settings:
    settings = load_settings(deployed_repo())
    key_file.set(google_key(settings))  # for this request: Airflow's API server works for others too
    return settings


def _read_catalog(_: str) -> Any:
    from provender.catalog import read_catalog

    return read_catalog(_settings())


def _read_calendar(source: str) -> Any:
    from provender.catalog.calendar import read_calendar

    return read_calendar(_settings(), source, datetime.now(UTC))


_CATALOG: _Kept[Any] = _Kept(_read_catalog)
_CALENDARS: _Kept[Any] = _Kept(_read_calendar)


def catalog_for(rights: Rights) -> Any:
    """The part of the :class:`provender.catalog.FeatureCatalog` that a person may see."""
    return _CATALOG.get().readable(rights.readable.__contains__)


def calendar(source: str) -> Any:
    """The states of a source's newest partitions, newest first."""
    return _CALENDARS.get(source)


def facets_of(query: Any) -> tuple[Any, dict[str, str]]:
    """The facets that a query string chooses, and their texts."""
    from provender.catalog import Facets

    names = ("source", "owner", "key", "type", "tag")
    chosen = {name: query.get(name, "") for name in names}
    online, served = (True if query.get(name) else None for name in ("online", "served"))
    given = {name: text or None for name, text in chosen.items()}
    shown = {**chosen, "online": "1" if online else "", "served": "1" if served else ""}
    return Facets(**given, online=online, served=served), shown


def explained(fact: Any, keys: dict[str, str], at: str) -> tuple[list[str], str]:
    """Lines of an explanation of what is stored, or why there is none. The engine is not started for a page."""
    from provender.cli.explain import lines
    from provender.explain import Question, explain
    from provender.intervals import parse_iso

    try:
        moment = parse_iso(at) if at else datetime.now(UTC)
        question = Question(fact.view, fact.feature, keys, moment, recompute=False)
        return list(lines(explain(_settings(), question, "page"))), ""
    except (ProvenderError, ValueError) as error:
        return [], str(error)
