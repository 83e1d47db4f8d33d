"""What every Spark application shares: arguments, and one way to end."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable

from provender.errors import ProvenderError
from provender.failures import run_job
from provender.ledger import Job, Manifest
from provender.metrics import job_failed
from provender.settings import Settings

logger = logging.getLogger(f"provender.{__name__}")


def arguments(description: str) -> argparse.ArgumentParser:
    """``--repo``, ``--source`` and ``--attempt``, which every application takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repo", required=True, help="folder of feature_store.yaml")
    parser.add_argument("--source", required=True)
    parser.add_argument("--attempt", required=True, help="name under which the manifest is committed")
    return parser


def run(job: Job, parsed: argparse.Namespace, work: Callable[[Settings], Manifest]) -> int:
    """Run ``work``; exit code 0 means that its manifest is committed.

    Errors end as :func:`provender.failures.run_job` says, and are counted.
    """

    def counted(settings: Settings) -> None:
        try:
            manifest = work(settings)
        except ProvenderError:
            job_failed(settings, job, parsed.source)
            raise
        counts = ", ".join(f"{name} {number}" for name, number in manifest.counts.items()) or "nothing to do"
        logger.info(
            f"committed {manifest.job} {manifest.kind} {manifest.number} of {manifest.source}: {counts}"
        )

    return run_job(parsed.repo, parsed.attempt, counted)
