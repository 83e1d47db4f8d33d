"""What the stage, ingest and materialize commands share: a source, its partitions, the manifest they end with."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from provender.cli import options
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
    """``SOURCE``, ``--json`` and, unless told otherwise, ``PARTITIONS``."""
    options.add_source(parser)
    if partitions:
        options.add_key(parser, "PARTITIONS", "a partition key, or FIRST..LAST (both included)")
    options.add_json(parser)


def asked(args: argparse.Namespace) -> Asked:
    """Raises :class:`SpecError` for an unknown source, :class:`PartitionError` for invalid keys."""
    settings = load_settings(args.repo)
    source = Catalog.load(settings.repo).source(args.source)
    partitions = parse_range(source.cadence, args.partitions) if hasattr(args, "partitions") else []
    return Asked(settings, source, partitions, options.attempt_name())


def show(*manifests: Manifest, as_json: bool) -> None:
    """Print what was committed: a line each, or a JSON list of the manifests' documents."""
    if as_json:
        options.print_json([manifest.to_document() for manifest in manifests])
        return
    for manifest in manifests:
        counts = ", ".join(f"{name} {number}" for name, number in manifest.counts.items() if number)
        what = f"{manifest.job} {manifest.kind} {manifest.number} of {manifest.source}"
        print(f"{what}: {counts or 'nothing to do'}")
        for note in manifest.notes:
            print(f"  {note}")
