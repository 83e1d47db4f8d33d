"""The worker of the compose file: the predictor first, if it served models before, then Celery."""

from __future__ import annotations

import os

from provender.errors import ProvenderError
from provender.local import predictor
from provender.settings import load_settings


def main() -> None:
    settings = load_settings()
    if predictor.pointers(settings):
        try:
            predictor.ensure(settings, lambda line: print(line, flush=True))
        except ProvenderError as error:
            # Ingest and materialization go on without it; the next deployment starts it again.
            print(error, flush=True)
    os.execvp("airflow", ["airflow", "celery", "worker"])


if __name__ == "__main__":
    main()
