"""Times as the spec says they are written: compared with a naive reading by ``datetime`` and ``zoneinfo``."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provender.contract.times import read_times
from provender.contract.zones import UNREADABLE
from provender.intervals import to_micros
from provender.specs.source import Timestamp
from provender.specs.time_pattern import check_pattern

UTC_NOON = "2026-07-01T12:00:00"
TIMES = [
    # (format, zone, raw, the moment in UTC or the reason)
    ("iso", "UTC", "2026-07-01T14:00:00+02:00", UTC_NOON),
    ("iso", "UTC", " 2026-07-01 12:00:00 ", UTC_NOON),
    ("iso", "Europe/Berlin", "2026-07-01T14:00:00", UTC_NOON),
    ("iso", "Europe/Berlin", "2026-07-01T12:00:00Z", UTC_NOON),
    ("iso", "Europe/Berlin", "2026-07-01T08:00:00-04", UTC_NOON),
    ("iso", "Europe/Berlin", "2026-03-29T02:30:00", "nonexistent"),
    ("iso", "Europe/Berlin", "2026-03-29T02:30:00+01:00", "2026-03-29T01:30:00"),
    ("iso", "Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25T00:30:00"),
    ("iso", "America/New_York", "2013-11-03 01:30:00", "2013-11-03T05:30:00"),
    ("iso", "America/New_York", "2013-03-10 02:00:00", "nonexistent"),
    ("iso", "UTC", "12:30", "wrong"),
    ("iso", "UTC", "2026", "wrong"),
    ("iso", "UTC", "2026-02-30", "wrong"),
    ("iso", "UTC", "2026-07-01T12:00:00Z; DROP", "wrong"),
    ("epoch_s", "UTC", "1782907200", UTC_NOON),
    ("epoch_s", "UTC", "1782907200.5", "2026-07-01T12:00:00.500000"),
    ("epoch_ms", "UTC", "1782907200000", UTC_NOON),
    ("epoch_us", "UTC", "1782907200000000", UTC_NOON),
    ("epoch_s", "UTC", "1e999999999", "wrong"),
    ("epoch_s", "UTC", "99999999999999", "wrong"),
    ("dd.MM.yyyy HH:mm", "Europe/Berlin", "01.07.2026 14:00", UTC_NOON),
    ("dd.MM.yyyy HH:mm", "Europe/Berlin", "29.03.2026 02:30", "nonexistent"),
    ("dd.MM.yyyy HH:mm", "UTC", "2026-07-01", "wrong"),
    ("yyyyMMddHHmmXXX", "Europe/Berlin", "202607011400+02:00", UTC_NOON),
    ("iso", "Europe/Oslo", "2026-07-01 12:00:00 UTC", UTC_NOON),
    ("iso", "Europe/Oslo", "2026-07-01 12:00:00.5 UTC", "2026-07-01T12:00:00.500000"),
    ("iso", "Europe/Oslo", "2026-07-01 12:00:00 GMT", UTC_NOON),
    ("iso", "Europe/Oslo", "2026-07-01 12:00 Z", UTC_NOON),
    ("iso", "Europe/Oslo", "2026-07-01T12:00z", UTC_NOON),
    ("iso", "Europe/Oslo", "2026-07-01 08:00:00 America/New_York", UTC_NOON),
    ("iso", "Europe/Oslo", "2026-03-08 02:30:00 America/New_York", "nonexistent"),
    ("iso", "Europe/Oslo", "2026-07-01 07:00:00 EST", UTC_NOON),
    ("iso", "Europe/Oslo", "2026-07-01 14:00:00 CET", "wrong"),
    ("iso", "Europe/Oslo", "2026-07-01 14:00:00 PST", "wrong"),
    ("iso", "Europe/Oslo", "2026-07-01 14:00:00 Mars/Olympus", "wrong"),
    ("iso", "Europe/Oslo", "2026-07-01 14:00:00+0200", UTC_NOON),
    ("iso", "Europe/Oslo", "2026-07-01 14:00:00 UTC+2", UTC_NOON),
    ("iso", "Europe/Oslo", "2026-07-01 14:00:00+25:00", "wrong"),
    ("iso", "Europe/Oslo", "2026-07-01 02:00 PM", "wrong"),
    ("iso", "UTC", "2026-07-01 12:00:00.123456789", "2026-07-01T12:00:00.123456"),
    ("iso", "UTC", "2026-07-01 9:05", "2026-07-01T09:05:00"),
    ("iso", "UTC", "2026-07-01T24:00:00", "wrong"),
    ("iso", "UTC", "2026-07-01T23:59:60", "wrong"),
    ("iso", "UTC", "2026-07-1", "wrong"),
    ("iso", "UTC", "0000-01-01", "wrong"),
    ("iso", "UTC", "0001-01-01", "0001-01-01T00:00:00"),
    ("iso", "UTC", "0001-01-01T00:00:00+01:00", "wrong"),
    ("iso", "UTC", "9999-12-31T23:59:59.999999", "9999-12-31T23:59:59.999999"),
    ("iso", "UTC", "9999-12-31T23:59:59-01:00", "wrong"),
    ("epoch_s", "Europe/Oslo", "-1.5", "1969-12-31T23:59:58.500000"),
    ("epoch_s", "UTC", "1.7829072E9", UTC_NOON),
    ("epoch_s", "UTC", "0x10", "wrong"),
    ("epoch_s", "UTC", "1_0", "wrong"),
    ("epoch_s", "UTC", "NaN", "wrong"),
    ("epoch_us", "UTC", "1.9", "1970-01-01T00:00:00.000001"),
    ("dd/MM/yyyy HH:mm", "UTC", "05/06/2026 10:00", "2026-06-05T10:00:00"),
    ("yyyy-MM-dd HH:mm z", "Europe/Oslo", "2026-07-01 12:00 UTC", UTC_NOON),
]


def outcome(value: Any, form: str = "iso", zone: str = "UTC") -> str:
    """The moment in UTC, or ``wrong``, ``nonexistent`` or ``absent``."""
    array = value if isinstance(value, pa.Array) else pa.array([value])
    times = read_times(array, Timestamp(column="at", format=form, zone=zone))
    if not times.present[0]:
        return "absent"
    if times.wrong[0]:
        return "wrong"
    if times.skipped[0]:
        return "nonexistent"
    moment = datetime(1970, 1, 1) + timedelta(microseconds=int(times.micros[0]))
    return moment.isoformat()


@pytest.mark.parametrize(("form", "zone", "raw", "expected"), TIMES)
def test_times_are_read_as_the_spec_says(form: str, zone: str, raw: str, expected: str) -> None:
    assert outcome(raw, form, zone) == expected
    # Beside a value of another form, which takes the slower way.
    beside = pa.array([raw, "?", "2026-01-01", "2026-01-01T00:00:00Z"])
    assert outcome(beside, form, zone) == expected


@pytest.mark.parametrize(
    ("value", "form", "zone", "expected"),
    [
        (date(2026, 7, 1), "iso", "Europe/Berlin", "2026-06-30T22:00:00"),
        (datetime(2026, 7, 1, 14), "iso", "Europe/Berlin", UTC_NOON),
        (datetime(2026, 7, 1, 14), "dd.MM.yyyy", "Europe/Berlin", UTC_NOON),
        (datetime(2026, 7, 1, 12, tzinfo=UTC), "epoch_s", "Europe/Berlin", UTC_NOON),
        (1782907200, "epoch_s", "UTC", UTC_NOON),
        (1782907200.123456, "epoch_s", "UTC", "2026-07-01T12:00:00.123456"),
        (Decimal("1782907200.1234567"), "epoch_s", "UTC", "2026-07-01T12:00:00.123456"),
        (Decimal("1E+30"), "epoch_s", "UTC", "wrong"),
        (20260701, "yyyyMMdd", "UTC", "2026-07-01T00:00:00"),
        (20260701.0, "yyyyMMdd", "UTC", "2026-07-01T00:00:00"),
        (20260701, "iso", "UTC", "wrong"),
        (float("nan"), "epoch_s", "UTC", "wrong"),
        (2**63 - 1, "epoch_us", "UTC", "wrong"),
        (True, "epoch_s", "UTC", "wrong"),
        ([1], "iso", "UTC", "wrong"),
        (b"2026-07-01", "iso", "UTC", "wrong"),
        (None, "iso", "UTC", "absent"),
        ("  ", "iso", "UTC", "absent"),
        (pa.array(["2026-07-01"]).dictionary_encode(), "iso", "UTC", "2026-07-01T00:00:00"),
        (pa.array(["2026-07-01"], pa.large_string()), "iso", "UTC", "2026-07-01T00:00:00"),
        (pa.array([2**64 - 1], pa.uint64()), "epoch_s", "UTC", "wrong"),
        (pa.array([2**31 - 1], pa.int32()).cast(pa.date32()), "iso", "UTC", "wrong"),
        *(
            (pa.array([value]).cast(pa.timestamp(unit, "UTC")), "iso", "UTC", "wrong")
            for unit in ("s", "ms", "us")
            for value in (2**63 - 1, -(2**63))
        ),
        (pa.array([-1]).cast(pa.timestamp("ns", "UTC")), "iso", "UTC", "1969-12-31T23:59:59.999999"),
    ],
)
def test_typed_values_are_moments_or_cannot_be_read(value: Any, form: str, zone: str, expected: str) -> None:
    assert outcome(value, form, zone) == expected


OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
WALLS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
)


def naive(wall: datetime, zone: str) -> int | str:
    """The earlier moment that a clock of ``zone`` shows ``wall`` at; ``nonexistent`` if it never does."""
    local = wall.replace(tzinfo=ZoneInfo(zone))
    back = local.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return to_micros(local) if back == wall else "nonexistent"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(WALLS, st.datetimes(datetime(1960, 1, 1), datetime(2030, 1, 1))), min_size=1, max_size=40
    ),
    st.sampled_from(ZONES),
)
def test_wall_times_are_those_of_zoneinfo(walls: list[datetime], zone: str) -> None:
    for separator, spec in (("T", "microseconds"), (" ", "auto")):
        times = read_times(
            pa.array([w.isoformat(separator, spec) for w in walls]), Timestamp(column="at", zone=zone)
        )
        found = [
            "nonexistent" if gone else int(micros)
            for micros, gone in zip(times.micros, times.skipped, strict=True)
        ]
        assert found == [naive(wall, zone) for wall in walls]


@pytest.mark.parametrize("zone", ZONES)
def test_every_quarter_of_an_hour_around_clock_changes_is_that_of_zoneinfo(zone: str) -> None:
    years = (1900, 1945, 1987, 2011, 2026, 2060)
    starts = [datetime(year, month, 1) for year in years for month in range(1, 13)]
    walls = [
        start + timedelta(days=day, hours=hour)
        for start in starts
        for day in range(31)
        for hour in (0, 1, 2, 3)
    ]
    walls += [wall + timedelta(minutes=45) for wall in walls]
    times = read_times(pa.array(walls, pa.timestamp("us")), Timestamp(column="at", zone=zone))
    found = [
        "nonexistent" if gone else int(micros)
        for micros, gone in zip(times.micros, times.skipped, strict=True)
    ]
    assert found == [naive(wall, zone) for wall in walls]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(WALLS, OFFSETS), min_size=1, max_size=20), st.sampled_from(ZONES))
def test_a_value_that_names_its_zone_is_never_shifted_by_the_sources(
    values: list[tuple[datetime, timezone]], zone: str
) -> None:
    moments = [wall.replace(tzinfo=offset) for wall, offset in values]
    texts = [moment.isoformat(" ") for moment in moments]
    for written in (
        texts,
        [f"{text[:-6]} {text[-6:]}" for text in texts],
        [f"{text[:-6]}GMT{text[-6:]}" for text in texts],
    ):
        times = read_times(pa.array(written), Timestamp(column="at", zone=zone))
        assert [int(micros) for micros in times.micros] == [to_micros(moment) for moment in moments]


FORMATS = {
    "dd/MM/yyyy HH:mm:ss": "%d/%m/%Y %H:%M:%S",
    "yyyyMMddHHmmss": "%Y%m%d%H%M%S",
    "d MMM yyyy hh:mm:ss a": "%d %b %Y %I:%M:%S %p",
    "EEEE, MMMM dd, yyyy 'at' HH 'h' mm.ss": "%A, %B %d, %Y at %H h %M.%S",
    "yyyy-DDD'T'HH:mm:ss": "%Y-%jT%H:%M:%S",
    "yy/M/d H:m:s": "%y/%m/%d %H:%M:%S",
    "yyyy.MM.dd[ HH:mm:ss]": "%Y.%m.%d %H:%M:%S",
}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)), min_size=1, max_size=20),
    st.sampled_from(sorted(FORMATS)),
)
def test_patterns_read_what_strftime_writes(walls: list[datetime], pattern: str) -> None:
    walls = [wall.replace(microsecond=0) for wall in walls]
    times = read_times(
        pa.array([w.strftime(FORMATS[pattern]) for w in walls]), Timestamp(column="at", format=pattern)
    )
    assert [int(micros) for micros in times.micros] == [to_micros(wall.replace(tzinfo=UTC)) for wall in walls]


@pytest.mark.parametrize(
    ("pattern", "raw"),
    [
        ("dd/MM/yyyy", "31/02/2026"),
        ("dd/MM/yyyy", "1/2/2026"),
        ("dd/MM/yyyy", "05/06/26"),
        ("MM/dd/yyyy", "13/01/2026"),
        ("yyyy-MM-dd HH:mm", "2026-01-01 24:00"),
        ("yyyy-MM-dd hh:mm a", "2026-01-01 13:00 PM"),
        ("EEE dd MMM yyyy", "Mon 20 Nov 2026"),
        ("yyyyDDD", "2026366"),
        ("yyyy-MM-dd XXX", "2026-01-01 EST"),
        ("yyyy-MM-dd VV", "2026-01-01 Mars/Olympus"),
        ("yyyy-MM-dd", "2026-01-01x"),
        ("yyyy-MM-dd", "0000-01-01"),
    ],
)
def test_what_is_not_written_by_the_pattern_cannot_be_read(pattern: str, raw: str) -> None:
    assert outcome(raw, pattern) == "wrong"


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("yyyy-mm-dd", "a month is MM"),
        ("yyyy-MM-dd HH:MM", "minutes mm"),
        ("yyyy-MM-dd hh:mm", "without AM or PM"),
        ("YYYY-MM-dd", "the year is yyyy"),
        ("yyyy-MM-DD", "the day of a month is dd"),
        ("yyyy-MM-ddTHH:mm", "write 'T'"),
        ("yyyy-MM-dd'T", "never closed"),
        ("yyyy-MM-dd]", "no other end"),
        ("yyyyy-MM-dd", "too many letters"),
        ("HH:mm", "no year"),
        ("%Y-%m-%d", "strftime"),
        ("yyyy-MM-dd QQQ", "cannot be read"),
    ],
)
def test_patterns_that_mean_something_else_are_refused(pattern: str, reason: str) -> None:
    assert reason in (check_pattern(pattern) or "")


def test_letters_in_quotes_are_text() -> None:
    assert outcome("12 Xtra VV 07 2026", "dd 'Xtra VV' MM yyyy", "Europe/Oslo") == "2026-07-11T22:00:00"
    assert outcome("2026-07-01 14 o'clock", "yyyy-MM-dd HH 'o''clock'", "Europe/Oslo") == UTC_NOON


@pytest.mark.parametrize("form", ["iso", "epoch_s", "yyyy-MM-dd"])
def test_no_rows_are_no_times(form: str) -> None:
    for kind in (pa.string(), pa.null(), pa.int64(), pa.timestamp("ns")):
        times = read_times(pa.array([], kind), Timestamp(column="at", format=form, zone="Europe/Oslo"))
        assert len(times.to_arrow()) == 0
    assert read_times(pa.nulls(2), Timestamp(column="at", format=form)).micros.tolist() == [UNREADABLE] * 2
