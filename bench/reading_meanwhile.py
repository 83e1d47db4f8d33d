"""What readers feel of a load: HMGET's p99 in a process of its own, as a curve over the rows of one script call, and
over a limit of rows a second."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.logs import Log, guarded
from bench.results import Result, seconds
from provender.online.layout import pack_keys
from provender.online.writer import OnlineWriter

CALLS = (1, 10, 25, 50, 100, 250, 1000)
SHARES = (0.1, 0.25, 0.5, 0.75)
"""Limits, as shares of what the default call size reaches without one."""
KEYS = 100_000
LIMIT_MS = 5.0
_READING_SECONDS = 2.0
_READINGS = 3
"""The best of them counts: what else the machine does can only make a reader wait longer."""


def readers_curve(address: str, log: Log) -> list[Result]:
    """p99 in milliseconds beside the idle server's, and the rate of the load, for each size of a call.

    The load is packed beforehand and repeated while the reader reads: nothing but Redis is measured.
    """
    OnlineWriter(address, "curve").write(log.view.layout, guarded(log.batches(KEYS, 1)))
    idle, _ = _best(address, log, None)
    versions = iter(range(2, 100))
    results, most = [], 0.0
    for rows in CALLS:
        p99, rate = _loaded(address, log, next(versions), rows, None)
        is_default = rows == OnlineWriter.rows_per_call
        most = rate if is_default else most
        target = f"the default: under {LIMIT_MS:g} ms" if is_default else "a curve"
        name = f"readers' p99, {rows} rows a call ({rate:,.0f} rows/s)"
        results.append(_result(name, p99, idle, target, not is_default or p99 < LIMIT_MS))
    for share in SHARES:
        p99, rate = _loaded(address, log, next(versions), OnlineWriter.rows_per_call, share * most)
        name = f"readers' p99, at most {share:.0%} of that rate ({rate:,.0f} rows/s)"
        results.append(_result(name, p99, idle, "a curve", True))
    return results


def _loaded(address: str, log: Log, version: int, rows: int, limit: float | None) -> tuple[float, float]:
    """p99 and rate while all keys are written again and again, ``rows`` a call, at most ``limit`` a second."""
    writer = OnlineWriter(address, "curve", rows_per_call=rows, rows_per_second=limit)
    windows = list(writer.packed(log.view.layout, guarded(log.batches(KEYS, version))))
    return _best(address, log, partial(writer.send, windows, "sending"))


def _result(name: str, p99: float, idle: float, target: str, met: bool) -> Result:
    return Result(name, "ms", p99, idle, "idle", p99 / idle, target, met, _READINGS)


_READER = """
import json, sys, time, redis
host, port = sys.argv[1].rsplit(":", 1)
keys, fields = (json.loads(line) for line in sys.stdin.readline().split("\\t"))
client = redis.Redis(host=host, port=int(port), socket_timeout=60)
keys = [bytes.fromhex(key) for key in keys]
fields = [bytes.fromhex(field) for field in fields]
end, taken, at = time.perf_counter() + float(sys.argv[2]), [], 0
print("ready", flush=True)
while time.perf_counter() < end:
    started = time.perf_counter()
    client.hmget(keys[at % len(keys)], fields)
    taken.append(time.perf_counter() - started)
    at += 1
taken.sort()
print(json.dumps(taken[int(len(taken) * 0.99)] * 1000))
"""


def _best(address: str, log: Log, load: Callable[[], object] | None) -> tuple[float, float]:
    """The lowest p99 of some readings, and the highest rate."""
    readings = [_p99(address, log, load) for _ in range(_READINGS)]
    return min(p99 for p99, _ in readings), max(rate for _, rate in readings)


def _p99(address: str, log: Log, load: Callable[[], object] | None) -> tuple[float, float]:
    """Milliseconds, and rows a second of the load, which is repeated while the reader reads."""
    layout = log.view.layout
    keys = pack_keys(layout, "curve", next(log.batches(1000, 1)))
    fields = [layout.timestamp_field, *layout.feature_fields]
    line = "\t".join(json.dumps([part.hex() for part in parts]) for parts in (keys, fields))
    command = [sys.executable, "-c", _READER, address, str(_READING_SECONDS)]
    sent, spent = 0, 0.0
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    ) as reader:
        assert reader.stdin and reader.stdout
        reader.stdin.write(line + "\n")
        reader.stdin.flush()
        reader.stdout.readline()
        while load is not None and reader.poll() is None:
            spent += seconds(load)
            sent += KEYS
        return float(reader.stdout.read()), sent / spent if spent else 0.0
