"""The ``provender`` command.

Each sub-command is a module ``provender/cli/<command>.py`` with ``add_parser(subparsers)``, which returns
its parser, and ``run(args) -> int``, the exit code. A module is imported only when its command is asked
for, so that ``provender validate`` does not wait for Spark or Feast. A new command is a module and a name
in :data:`COMMANDS`.

Exit codes: 0 done; 1 something is wrong; 2 wrong usage; 3 an error that no retry can mend; 4 an error that
trying again can mend; 130 interrupted.

Results go to standard output. What happens meanwhile is logged to standard error, as :mod:`provender.logs` says.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from provender import logs
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
_VALUED = ("--repo", "--log-format")
_INTERRUPTED = 130

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Errors raised on purpose are shown as their message, without a stack trace."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        args = _parser(_command_in(given)).parse_args(given)
        with logs.logging_as_asked(args):
            return _run(args)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of our output (head, less) went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(args: argparse.Namespace) -> int:
    try:
        _keep_private(args.repo)
        with scratch_errors():
            return int(importlib.import_module(_module(args.command)).run(args))
    except ProvenderError as error:
        logger.error(str(error), extra={"error": error.to_dict()})
        return error.exit_code


def _keep_private(repo: str | None) -> None:
    try:
        settings = load_settings(repo)
    except ProvenderError:
        return  # the command itself says so
    keep_private(settings)


class _Parser(argparse.ArgumentParser):
    """A parser with the options of the log; argparse makes those of the sub-commands of the same class."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        logs.add_options(self)


def _parser(asked_for: str | None) -> argparse.ArgumentParser:
    """A parser of the command asked for; of all, if there is none (help, or a misspelt one)."""
    parser = _Parser(prog="provender", description="A batch feature platform.")
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
    """The first argument that is neither an option nor an option's value, if it is a command."""
    before = ["", *arguments]
    words = [b for a, b in zip(before, arguments, strict=False) if a not in _VALUED and not b.startswith("-")]
    return words[0] if words and words[0] in COMMANDS else None


def _module(command: str) -> str:
    return f"provender.cli.{command.replace('-', '_')}"
