"""The ``provender`` command.

Each sub-command is a module ``provender/cli/<command>.py`` with ``add_parser(subparsers)``, which returns
its parser, and ``run(args) -> int``, the exit code. A module is imported only when its command is asked
for, so that ``provender validate`` does not wait for Spark or Feast. A new command is a module and a name
in :data:`COMMANDS`.

Exit codes: 0 done; 1 something is wrong; 2 wrong usage; 3 an error that no retry can fix; 4 an error that
trying again can fix; 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from provender.errors import ProvenderError
from provender.private import keep_private
from provender.settings import load_settings
from provender.storage.disk import scratch_errors

COMMANDS = (
    "validate",
    "apply",
    "stage",
    "ingest",
    "materialize",
    "online",
    "publish",
    "training-set",
    "status",
    "quarantine",
    "models",
    "up",
    "down",
    "services",
)
"""In the order in which ``provender --help`` lists them; ``-`` in a command is ``_`` in its module's name."""
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Errors raised on purpose are shown as their message, without a stack trace."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        args = _parser(_command_in(given)).parse_args(given)
        _keep_private(args.repo)
        with scratch_errors():
            return int(importlib.import_module(_module(args.command)).run(args))
    except ProvenderError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of our output (head, less) went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _keep_private(repo: str | None) -> None:
    try:
        settings = load_settings(repo)
    except ProvenderError:
        return  # the command itself says so
    keep_private(settings)


def _parser(asked_for: str | None) -> argparse.ArgumentParser:
    """A parser of the command asked for; of all, if there is none (help, or a misspelt one)."""
    parser = argparse.ArgumentParser(prog="provender", description="A batch feature platform.")
    parser.add_argument(
        "--repo",
        metavar="FOLDER",
        help="the feature repo (default: the nearest feature_defs/, or $PROVENDER_REPO)",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS if asked_for is None else (asked_for,):
        importlib.import_module(_module(command)).add_parser(subparsers)
    return parser


def _command_in(arguments: list[str]) -> str | None:
    """The first argument that is neither an option nor the value of ``--repo``, if it is a command."""
    before = ["", *arguments]
    words = [b for a, b in zip(before, arguments, strict=False) if a != "--repo" and not b.startswith("-")]
    return words[0] if words and words[0] in COMMANDS else None


def _module(command: str) -> str:
    return f"provender.cli.{command.replace('-', '_')}"
