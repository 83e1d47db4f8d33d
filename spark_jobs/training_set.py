"""Spark application: a training set, for a model or from a file of entity rows."""

from __future__ import annotations

import argparse
import logging
import sys

from provender.failures import run_job
from provender.feast.training_set import build
from provender.settings import Settings
from provender.training_sets.request import Request, request_of_model

logger = logging.getLogger("provender.spark_jobs.training_set")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", required=True, help="folder of feature_store.yaml")
    parser.add_argument("--attempt", required=True, help="name of this attempt")
    parser.add_argument("--model", help="name of a model spec")
    parser.add_argument("--key", help="partition to train for (default: the newest complete one)")
    parser.add_argument("--name", help="of the training set, where there is no model")
    parser.add_argument("--entities", help="Parquet or CSV file of entity rows")
    parser.add_argument("--features", help="view:feature,… or the name of a feature service")
    parser.add_argument("--label", help="column of the entity rows")
    parser.add_argument(
        "--as-known", action="store_true", help="leave out what was created after a row's time"
    )
    parsed = parser.parse_args()
    if not parsed.model and not (parsed.name and parsed.entities and parsed.features):
        parser.error("either --model, or --name with --entities and --features")

    def work(settings: Settings) -> None:
        built = build(settings, _request(settings, parsed), parsed.attempt)
        logger.info(f"report: {built.report_uri}")

    return run_job(parsed.repo, parsed.attempt, work)


def _request(settings: Settings, parsed: argparse.Namespace) -> Request:
    if parsed.model:
        return request_of_model(settings, parsed.model, parsed.key)
    features = tuple(parsed.features.split(",")) if ":" in parsed.features else parsed.features
    return Request(parsed.name, parsed.entities, features, label=parsed.label, as_known=parsed.as_known)


if __name__ == "__main__":
    sys.exit(main())
