"""What every Spark application shares: arguments, and one way to end."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from provender.errors import ProvenderError
from provender.ledger import Job, Manifest
from provender.metrics import job_failed
from provender.settings import Settings, load_settings

ERROR_MARK = "PROVENDER_ERROR"


def arguments(description: str) -> argparse.ArgumentParser:
    """``--repo``, ``--source`` and ``--attempt``, which every application takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repo", required=True, help="folder of feature_store.yaml")
    parser.add_argument("--source", required=True)
    parser.add_argument("--attempt", required=True, help="name under which the manifest is committed")
    return parser


def report(error: ProvenderError) -> int:
    """Prints the message and, as the last line for machines, its JSON. Returns the exit code."""
    print(error, file=sys.stderr)
    print(ERROR_MARK, json.dumps(error.to_dict()), file=sys.stderr, flush=True)
    return error.exit_code


def run(job: Job, parsed: argparse.Namespace, work: Callable[[Settings], Manifest]) -> int:
    """Runs ``work``; exit code 0 means that its manifest is committed.

    An error of ours ends as :func:`report` says.
    """
    try:
        settings = load_settings(parsed.repo)
    except ProvenderError as error:
        return report(error)  # without settings nobody knows where metrics go
    try:
        manifest = work(settings)
    except ProvenderError as error:
        job_failed(settings, job, parsed.source)
        return report(error)
    counts = ", ".join(f"{name} {number}" for name, number in manifest.counts.items()) or "nothing to do"
    print(
        f"committed {manifest.job} {manifest.kind} {manifest.number} of {manifest.source}: {counts}",
        flush=True,
    )
    return 0
