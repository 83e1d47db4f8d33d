"""Ends what a cancelled attempt still runs on the warm engine: ``python -m … REPO ATTEMPT``.

A process of its own: ending the job's process leaves its queries running in the engine.
"""

from __future__ import annotations

import sys

from provender.settings import load_settings


def main(repo: str, attempt: str) -> None:
    from provender.spark.session import interrupt

    interrupt(load_settings(repo), attempt)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
