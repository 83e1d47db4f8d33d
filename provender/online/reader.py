"""Reads feature values from Redis for servers: what ``FeatureStore.get_online_features`` gives, without its cost.

    rows of join keys
    -> one entity key per distinct (join keys, row)       views with the same join keys share it
    -> one HMGET each, all in one socket write            one round trip, however many rows and views
    -> columns, decoded straight from the bytes           and the times of the row they were written with

The bytes are Feast's own (:mod:`provender.online.layout`), so this reads what Feast pushed as well as what
provender materialized. Needs ``redis`` (with ``hiredis`` it is about twice as fast), neither Feast nor pandas.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis.cluster import RedisCluster

from provender.errors import ContractError, SpecError
from provender.online.cluster import ask
from provender.online.connection import connect, translated
from provender.online.decode import decode_created, decode_timestamp, decode_value, decode_values, moment
from provender.online.layout import ViewLayout, field_name, key_prefix
from provender.specs.problems import did_you_mean
from provender.specs.source import ColumnType

Rows = Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]

_KEY_HEADS = {
    ColumnType.STRING: (2, "<II"),
    ColumnType.BYTES: (1, "<II"),
    ColumnType.INT32: (3, "<IIi"),
    ColumnType.INT64: (4, "<IIq"),
    ColumnType.TIMESTAMP: (8, "<IIq"),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ViewTimes:
    """For each row, when the view's values were true and when they could be known (microseconds since the epoch)."""

    event: list[int | None]
    """None: the view has no values for the row's entity."""
    created: list[int | None]
    """None: as above, or Feast itself wrote the values, which does not keep it."""
    known: list[bool]
    """Whether anything that was asked for is online for the entity, in this view or one with the same join keys."""


@dataclass(frozen=True, slots=True)
class OnlineFeatures:
    """What was read: one value per row, in the order of the rows."""

    values: dict[str, list[Any]]
    """``view:feature`` to its column. None: null, never written, or a join key that is null."""
    times: dict[str, ViewTimes]
    """View to the times of its rows."""

    def to_dict(self, full_feature_names: bool = False) -> dict[str, list[Any]]:
        """Columns named as Feast names them: ``feature``, or ``view__feature``."""
        if full_feature_names:
            return {name.replace(":", "__", 1): column for name, column in self.values.items()}
        return {name.partition(":")[2]: column for name, column in self.values.items()}

    def event_timestamps(self, view: str) -> list[datetime | None]:
        """When the view's values were true, in UTC."""
        return [moment(micros) for micros in self.times[view].event]

    def created_timestamps(self, view: str) -> list[datetime | None]:
        """When the view's values could be known, in UTC."""
        return [moment(micros) for micros in self.times[view].created]


@dataclass(frozen=True, slots=True)
class _ViewPart:
    """Where one view's answers are in the answer of its group's HMGET."""

    view: str
    event: int
    created: int
    features: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class _Group:
    """The views with the same join keys: one HMGET per entity."""

    keys: tuple[str, ...]
    packers: tuple[Callable[[Any], bytes], ...]
    prefix: bytes
    head: bytes
    fields: bytes
    width: int
    parts: tuple[_ViewPart, ...]


class Reader:
    """Reads features of one project. May be used from several threads at once."""

    def __init__(
        self,
        connection_string: str,
        project: str,
        views: Iterable[ViewLayout],
        *,
        timeout_seconds: float = 2.0,
    ) -> None:
        """Connects at the first read. ``timeout_seconds`` bounds each wait for Redis.

        Raises :class:`SettingsError` for a connection string that names no server, and
        :class:`OnlineStoreError` for a cluster that does not answer.
        """
        self._connection_string = connection_string
        self._project = project.encode()
        self._views = {view.view: view for view in views}
        with translated(connection_string, "connecting"):  # a cluster is asked for its slots
            self._client = connect(connection_string, timeout_seconds=timeout_seconds, retries=1)
        self._plan = lru_cache(maxsize=64)(self._make_plan)

    @classmethod
    def of_repo(cls, repo: Path | str | None = None, **options: Any) -> Self:
        """A reader of what is applied in a feature repo (default: the one found from here upwards).

        Raises :class:`SettingsError` if the settings are broken or nothing is applied.
        """
        from provender.online.views import load_applied_views
        from provender.settings import load_settings
        from provender.storage import storage_at

        settings = load_settings(repo)
        views = load_applied_views(storage_at(settings.storage_root), settings.project)
        return cls(settings.redis, settings.project, [view.layout for view in views], **options)

    def read(self, rows: Rows, features: Sequence[str]) -> OnlineFeatures:
        """Values of ``features`` (``view:feature``) for each of ``rows``, in one round trip.

        ``rows`` are join key values by name, as a list of rows or as columns of equal length, of the join keys'
        types: INT32, INT64 int; STRING str; BYTES bytes; TIMESTAMP datetime (naive is UTC). Other names in them
        are ignored. A row whose join key is None or absent has no values.

        Raises :class:`SpecError` for a feature that is not there, :class:`ContractError` for a join key of another
        type, :class:`OnlineStoreError` with the address if Redis does not answer.
        """
        groups = self._plan(tuple(features))
        columns = _columns(rows)
        count = max((len(column) for column in columns.values()), default=0)
        asked = [self._keys(group, columns, count) for group in groups]
        answers = iter(self._ask(groups, [keys for keys, _ in asked]))
        values: dict[str, list[Any]] = {name: [] for name in features}  # in the order asked for
        times: dict[str, ViewTimes] = {}
        for group, (keys, places) in zip(groups, asked, strict=True):
            found = [next(answers) for _ in keys]
            _decode(group, found, places, values, times)
        return OnlineFeatures(values, times)

    def ping(self) -> None:
        """Raises :class:`OnlineStoreError` if Redis does not answer."""
        with translated(self._connection_string, "asking whether it is there"):
            self._client.ping()

    def close(self) -> None:
        """Closes the connections. The reader may be used again."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _keys(
        self, group: _Group, columns: Mapping[str, Sequence[Any]], count: int
    ) -> tuple[list[bytes], list[int]]:
        """The distinct entity keys, and for each row which of them is its own; -1 for a null join key."""
        distinct: dict[bytes, int] = {}
        places = []
        nulls = [None] * count
        for row in zip(*[columns.get(name, nulls) for name in group.keys], strict=True):
            if None in row:
                places.append(-1)
                continue
            try:
                parts = [pack(value) for pack, value in zip(group.packers, row, strict=True)]
            except (TypeError, AttributeError, struct.error) as error:
                shown = dict(zip(group.keys, row, strict=True))
                raise ContractError(f"row {len(places)} has join keys of another type: {shown}") from error
            key = b"".join((group.prefix, *parts, self._project))
            places.append(distinct.setdefault(key, len(distinct)))
        return list(distinct), places

    def _ask(self, groups: Sequence[_Group], keys: Sequence[list[bytes]]) -> list[list[bytes | None]]:
        """The answers to all keys' HMGETs, sent at once."""
        commands = [
            b"%b$%d\r\n%b\r\n%b" % (group.head, len(key), key, group.fields)
            for group, of_group in zip(groups, keys, strict=True)
            for key in of_group
        ]
        if not commands:
            return []
        with translated(self._connection_string, "reading features"):
            if isinstance(self._client, RedisCluster):
                return ask(self._client, [key for of_group in keys for key in of_group], commands)
            connection: Any = self._client.connection_pool.get_connection()
            try:
                connection.send_packed_command([b"".join(commands)])
                return [connection.read_response(disable_decoding=True) for _ in commands]
            except BaseException:
                connection.disconnect()  # answers may be outstanding
                raise
            finally:
                self._client.connection_pool.release(connection)

    def _make_plan(self, features: tuple[str, ...]) -> tuple[_Group, ...]:
        by_view: dict[str, list[str]] = {}
        for reference in features:
            view, _, feature = reference.partition(":")
            self._check(view, feature)
            by_view.setdefault(view, []).append(feature)
        by_keys: dict[tuple[tuple[str, ColumnType], ...], dict[str, list[str]]] = {}
        for view, names in by_view.items():
            by_keys.setdefault(tuple(self._views[view].sorted_keys), {})[view] = names
        return tuple(_group(keys, views) for keys, views in by_keys.items())

    def _check(self, view: str, feature: str) -> None:
        if view not in self._views:
            raise SpecError(
                f"no view is called {view!r}; features are named view:feature",
                remedy=did_you_mean(view, list(self._views)),
            )
        names = [name for name, _ in self._views[view].features]
        if feature not in names:
            raise SpecError(f"view {view} has no feature {feature!r}", remedy=did_you_mean(feature, names))


def _columns(rows: Rows) -> Mapping[str, Sequence[Any]]:
    if isinstance(rows, Mapping):
        return rows
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _group(keys: tuple[tuple[str, ColumnType], ...], views: Mapping[str, Sequence[str]]) -> _Group:
    fields: list[bytes] = []
    parts = []
    for view, names in views.items():
        start = len(fields)
        fields += [b"_ts:" + view.encode(), b"_c:" + view.encode()]
        features = tuple((f"{view}:{name}", start + 2 + at) for at, name in enumerate(names))
        fields += [field_name(view, name) for name in names]
        parts.append(_ViewPart(view, start, start + 1, features))
    names_of_keys = tuple(name for name, _ in keys)
    return _Group(
        keys=names_of_keys,
        packers=tuple(_key_packer(kind) for _, kind in keys),
        prefix=key_prefix(names_of_keys),
        head=b"*%d\r\n$5\r\nHMGET\r\n" % (len(fields) + 2),
        fields=b"".join(b"$%d\r\n%b\r\n" % (len(field), field) for field in fields),
        width=len(fields),
        parts=tuple(parts),
    )


def _key_packer(kind: ColumnType) -> Callable[[Any], bytes]:
    """Type, length and value of one join key, as :func:`provender.online.layout.pack_keys` packs columns."""
    number, form = _KEY_HEADS[kind]
    pack = struct.Struct(form).pack
    if kind is ColumnType.STRING:
        return lambda value: pack(number, len(encoded := value.encode())) + encoded
    if kind is ColumnType.BYTES:
        return lambda value: pack(number, len(value)) + bytes(memoryview(value))
    if kind is ColumnType.TIMESTAMP:
        return lambda value: pack(number, 8, _seconds(value))
    width = struct.calcsize(form) - 8
    return lambda value: pack(number, width, value)


def _seconds(value: datetime) -> int:
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    since = aware - _EPOCH
    return since.days * 86_400 + since.seconds


def _decode(
    group: _Group,
    found: Sequence[Sequence[bytes | None]],
    places: Sequence[int],
    values: dict[str, list[Any]],
    times: dict[str, ViewTimes],
) -> None:
    """Adds the group's columns and times. Each distinct entity is decoded once, then spread over its rows."""
    if len(found) == len(places) == 1:
        _decode_one(group, found[0], values, times)
        return
    known = _spread([fields.count(None) < len(fields) for fields in found], places, False)
    columns = list(zip(*found, strict=True)) if found else [()] * group.width
    for part in group.parts:
        event = [decode_timestamp(data) for data in columns[part.event]]
        created = [decode_created(data, at) for data, at in zip(columns[part.created], event, strict=True)]
        times[part.view] = ViewTimes(_spread(event, places), _spread(created, places), known)
        for name, at in part.features:
            values[name] = _spread(decode_values(columns[at]), places)


def _decode_one(
    group: _Group, fields: Sequence[bytes | None], values: dict[str, list[Any]], times: dict[str, ViewTimes]
) -> None:
    """As :func:`_decode`, for one row, which is what servers are asked for most: without the columns' fixed cost."""
    known = [fields.count(None) < len(fields)]
    for part in group.parts:
        event = decode_timestamp(fields[part.event])
        times[part.view] = ViewTimes([event], [decode_created(fields[part.created], event)], known)
        for name, at in part.features:
            values[name] = [decode_value(fields[at])]


def _spread(distinct: list[Any], places: Sequence[int], absent: Any = None) -> list[Any]:
    if len(distinct) == len(places):  # every row has an entity of its own, so they are in order
        return distinct
    return [distinct[place] if place >= 0 else absent for place in places]
