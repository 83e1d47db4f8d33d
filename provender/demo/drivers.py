"""The demo's ``driver_statistics``: always the same, with everything that real deliveries do wrong.

300 drivers, two rows a driver and day, 2013-12-01 to 2013-12-31. Of the rows

* 4% come twice: the same values, newer ``created``, same file (duplicates);
* 3% are corrected: the same ``datetime``, newer ``created``, other values, in the same or the next file;
* 2% come one to three days late, 0.3% four to six days late, past the spec's lateness (``too_late``);
* and 1% more rows break the contract, each in one of nine ways (:data:`BREAKS`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

SEED = 20131201
FIRST_DAY = pd.Timestamp("2013-12-01")
DAYS = 31
DRIVERS = 300
COLUMNS = [
    *("driver_id", "acc_rate", "conv_rate", "avg_daily_trips", "fare_amount", "sales_status"),
    *("datetime", "created"),
]
BREAKS = [
    ("driver_id", ""),
    ("acc_rate", "1.7"),
    ("conv_rate", "NaN"),
    ("avg_daily_trips", "-5"),
    ("avg_daily_trips", "many"),
    ("fare_amount", "3000000000"),
    ("sales_status", "9"),
    ("sales_status", ""),
    ("datetime", "yesterday"),
]
"""Column and the text that breaks its contract: null, bounds, not finite, type, overflow, not a time."""


def by_day() -> dict[str, str]:
    """Delivery day (``2013-12-01``, …) to its CSV file's text, header included, in order of ``created``."""
    rows = generate()
    files = rows.sort_values(["delivered", "created", "driver_id", "datetime"], kind="stable").groupby(
        "delivered"
    )
    return {
        str((FIRST_DAY + pd.Timedelta(days=file["delivered"].iloc[0])).date()): file[COLUMNS].to_csv(
            index=False, lineterminator="\n"
        )
        for _, file in files
    }


def generate() -> pd.DataFrame:
    """All rows, :data:`COLUMNS` as text, and ``delivered`` (int: number of the day whose file has them)."""
    random = np.random.default_rng(SEED)
    rows = _delay(random, _observe(random))
    copies = [_duplicate(random, rows), _correct(random, rows)]
    good = _as_text(pd.concat([rows, *copies], ignore_index=True))
    return pd.concat([good, _break(random, good)], ignore_index=True)


def _observe(random: np.random.Generator) -> pd.DataFrame:
    """The true rows: numbers, timestamps and ``day`` (int, their own day's number); delivered on that day."""
    count = DAYS * DRIVERS * 2
    number = np.arange(count)
    day, half = number // (DRIVERS * 2), number % 2
    rows = pd.DataFrame({"driver_id": 1001 + number // 2 % DRIVERS, "day": day, "delivered": day})
    _measure(random, rows)
    minutes = day * 24 * 60 + half * 12 * 60 + random.integers(0, 11 * 60, count)
    rows["datetime"] = FIRST_DAY + pd.to_timedelta(minutes, unit="min")
    rows["created"] = rows["datetime"] + _minutes(random, 1, 30, count)
    return rows


def _measure(random: np.random.Generator, rows: pd.DataFrame) -> None:
    """New values for every feature of ``rows``."""
    count = len(rows)
    rows["acc_rate"] = random.random(count).round(4)
    rows["conv_rate"] = random.random(count).round(4)
    rows["avg_daily_trips"] = random.integers(0, 60, count)
    rows["fare_amount"] = random.integers(500, 50_000, count)
    rows["sales_status"] = random.integers(0, 5, count)


def _delay(random: np.random.Generator, rows: pd.DataFrame) -> pd.DataFrame:
    """``rows`` with some delivered late; what would come after the last file comes in time."""
    draw = random.random(len(rows))
    days = np.where(draw < 0.02, random.integers(1, 4, len(rows)), 0)
    days = np.where(draw > 0.997, random.integers(4, 7, len(rows)), days)
    days = np.where(rows["day"] + days < DAYS, days, 0)
    late = days > 0
    rows["delivered"] = rows["day"] + days
    rows.loc[late, "created"] = _some_time_on(random, rows.loc[late, "delivered"])
    return rows


def _duplicate(random: np.random.Generator, rows: pd.DataFrame) -> pd.DataFrame:
    copies = rows[random.random(len(rows)) < 0.04].copy()
    copies["created"] += _minutes(random, 1, 25, len(copies))
    return copies


def _correct(random: np.random.Generator, rows: pd.DataFrame) -> pd.DataFrame:
    """Corrections of rows that came in time: half in the same file, half in the next day's."""
    in_time = (rows["delivered"] == rows["day"]) & (rows["day"] < DAYS - 1)
    corrections = rows[in_time & (random.random(len(rows)) < 0.03)].copy()
    _measure(random, corrections)
    corrections["created"] += _minutes(random, 30, 60, len(corrections))
    next_day = random.random(len(corrections)) < 0.5
    corrections["delivered"] += next_day
    corrections.loc[next_day, "created"] = _some_time_on(random, corrections.loc[next_day, "delivered"])
    return corrections


def _break(random: np.random.Generator, good: pd.DataFrame) -> pd.DataFrame:
    broken = good[random.random(len(good)) < 0.01].copy()
    kinds = random.integers(0, len(BREAKS), len(broken))
    for kind, (column, text) in enumerate(BREAKS):
        broken.loc[kinds == kind, column] = text
    return broken


def _as_text(rows: pd.DataFrame) -> pd.DataFrame:
    text = rows[COLUMNS].astype(dict.fromkeys(COLUMNS[:-2], str))
    for column in ("datetime", "created"):
        text[column] = rows[column].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    text["delivered"] = rows["delivered"]
    return text


def _minutes(random: np.random.Generator, low: int, high: int, count: int) -> pd.TimedeltaIndex:
    return pd.to_timedelta(random.integers(low * 60, high * 60, count), unit="s")


def _some_time_on(random: np.random.Generator, day: pd.Series) -> pd.Series:
    seconds = day.to_numpy() * 86_400 + random.integers(3_600, 80_000, len(day))
    return pd.Series(FIRST_DAY + pd.to_timedelta(seconds, unit="s"), index=day.index)
