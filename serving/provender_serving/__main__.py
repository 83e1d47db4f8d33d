"""Starts the predictor: ``python -m provender_serving --http_port 8085 --models-dir DIR``.

On a cluster there is one model, and no folder: its pointer comes as text.

    PROVENDER_MODEL                      its name in URLs
    PROVENDER_POINTER                    its pointer, JSON (see provender_serving/pointer.py)
    PROVENDER_ONLINE_CONNECTION_STRING   Feast's connection string of the online store, from a secret

Loading and unloading models over HTTP needs the token in PROVENDER_PREDICTOR_TOKEN; without one nobody may. What one
client may ask of it is bounded (see provender_serving/limits.py).

KServe's own options work too (``--help``). SIGTERM ends it: no new connections, requests under way are answered.
"""

from __future__ import annotations

import os

# scikit-learn's threads cost more than they bring for rows by the dozen. Read when numpy and OpenMP are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

from fastapi.exceptions import FastAPIDeprecationWarning
from kserve.model_server import app
from kserve.model_server import parser as kserve_parser

from provender_serving.guard import TOKEN_VARIABLE
from provender_serving.limits import Limits
from provender_serving.pointer import PointerFolder
from provender_serving.repository import PointerRepository
from provender_serving.server import PredictorServer

MODEL_VARIABLE = "PROVENDER_MODEL"
POINTER_VARIABLE = "PROVENDER_POINTER"


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM."""
    # KServe answers with a response class that FastAPI would warn about at each request.
    warnings.filterwarnings("ignore", category=FastAPIDeprecationWarning)
    options = _parse(arguments)
    given = {options.model: options.pointer} if options.model and options.pointer else {}
    limits = Limits.of_options(options)
    repository = PointerRepository(PointerFolder(options.models_dir, given), limits.instances)
    server = PredictorServer(
        repository,
        app,
        options.host,
        limits,
        os.environ.pop(TOKEN_VARIABLE, ""),
        http_port=options.http_port,
        grpc_port=options.grpc_port,
        enable_grpc=options.enable_grpc,
        grace_period=options.grace_seconds,
    )
    if not options.access_log:
        # A line per request costs a tenth of the throughput, and says less than /metrics does.
        for name in ("uvicorn.access", "kserve.trace"):
            logging.getLogger(name).setLevel(logging.WARNING)
    server.start([])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="provender_serving", description="The KServe predictor.", parents=[kserve_parser]
    )
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")
    parser.add_argument("--models-dir", type=Path, help="folder of pointer files, <model>.json")
    parser.add_argument("--model", default=os.environ.get(MODEL_VARIABLE), help="name of --pointer's model")
    parser.add_argument(
        "--pointer", default=os.environ.get(POINTER_VARIABLE), help="one model's pointer, JSON"
    )
    parser.add_argument("--access-log", action="store_true", help="a line per request on stdout")
    parser.add_argument("--grace-seconds", type=int, default=30, help="for requests under way, at the end")
    Limits.add_options(parser)
    parser.set_defaults(enable_grpc=False)
    options = parser.parse_args(arguments)
    if options.models_dir is None and not (options.model and options.pointer):
        parser.error("either --models-dir, or a model's name and pointer")
    return options


if __name__ == "__main__":
    main()
