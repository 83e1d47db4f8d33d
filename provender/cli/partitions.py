"""What the stage, ingest and materialize commands share: a source, its partitions, a name for the attempt."""

from __future__ import annotations

import argparse
import getpass
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from provender.intervals import Partition, parse_range
from provender.ledger import Manifest
from provender.settings import Settings, load_settings
from provender.specs.catalog import Catalog
from provender.specs.source import Source


@dataclass(frozen=True)
class Asked:
    """The source and partitions of a command line."""

    settings: Settings
    source: Source
    partitions: list[Partition]
    attempt: str


def add_arguments(parser: argparse.ArgumentParser, *, partitions: bool = True) -> None:
    """``SOURCE`` and, unless told otherwise, ``PARTITIONS``."""
    parser.add_argument("source", help="name of the source")
    if partitions:
        parser.add_argument("partitions", help="a partition key, or FIRST..LAST (both included)")


def asked(args: argparse.Namespace) -> Asked:
    """Raises :class:`SpecError` for an unknown source, :class:`PartitionError` for invalid keys."""
    settings = load_settings(args.repo)
    source = Catalog.load(settings.repo).source(args.source)
    partitions = parse_range(source.cadence, args.partitions) if hasattr(args, "partitions") else []
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return Asked(settings, source, partitions, f"cli-{getpass.getuser()}-{moment}-{secrets.token_hex(3)}")


def show(manifest: Manifest) -> None:
    """One line for a person: what was committed."""
    counts = ", ".join(f"{name} {number}" for name, number in manifest.counts.items() if number)
    print(
        f"{manifest.job} {manifest.kind} {manifest.number} of {manifest.source}: {counts or 'nothing to do'}"
    )
    for note in manifest.notes:
        print(f"  {note}")
