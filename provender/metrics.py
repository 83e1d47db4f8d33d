"""Every metric the platform emits, by name, as StatsD lines over UDP (to nowhere unless settings say where).

    ==============================================  =======  ===========================================
    name                                            kind     meaning
    ==============================================  =======  ===========================================
    provender.<job>.<source>.seconds                timing   milliseconds from an attempt's start to its commit
    provender.<job>.<source>.committed              counter  attempts that committed a manifest
    provender.<job>.<source>.receipts               counter  attempts that found nothing to do
    provender.<job>.<source>.failed                 counter  attempts that ended in an error
    provender.<job>.<source>.rows.<count>           counter  rows by the manifest's counts (staged, accepted, …)
    provender.freshness.<source>.seconds            gauge    age of the newest complete partition's end
    ==============================================  =======  ===========================================

The format is StatsD's: ``name:value|c``, ``|ms``, ``|g``.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from datetime import UTC, datetime

from provender.ledger.manifest import Job, Kind, Manifest
from provender.settings import Settings

PREFIX = "provender"


def job_done(settings: Settings, manifest: Manifest) -> None:
    """Emits what ``manifest`` counted and how long its attempt took."""
    stem = f"{PREFIX}.{manifest.job}.{manifest.source}"
    outcome = "receipts" if manifest.kind is Kind.RECEIPT else "committed"
    rows = [f"{stem}.rows.{name}:{value}|c" for name, value in sorted(manifest.counts.items())]
    _send(settings, [f"{stem}.seconds:{round(manifest.seconds * 1000)}|ms", f"{stem}.{outcome}:1|c", *rows])


def job_failed(settings: Settings, job: Job, source: str) -> None:
    """Counts an attempt that ended in an error."""
    _send(settings, [f"{PREFIX}.{job}.{source}.failed:1|c"])


def freshness(settings: Settings, source: str, newest_end: datetime) -> None:
    """Emits the age of the newest complete partition's end."""
    age = (datetime.now(UTC) - newest_end).total_seconds()
    _send(settings, [f"{PREFIX}.freshness.{source}.seconds:{age:.0f}|g"])


def _send(settings: Settings, lines: Iterable[str]) -> None:
    if settings.statsd is None:
        return
    host, _, port = settings.statsd.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        for line in lines:
            # UDP: a metric that nobody receives must not fail the job that emits it.
            channel.sendto(line.encode(), (host, int(port)))
