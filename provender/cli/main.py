"""The ``provender`` command.

Each sub-command is a module ``provender/cli/<command>.py`` with ``add_parser(subparsers)``, which returns
its parser, and ``run(args) -> int``, the exit code; and with ``with_verb(words)``, if a verb may be left out.
A module is imported only when its command is asked for, so that ``provender validate`` does not wait for
Spark or Feast. A new command is a module and a name in :data:`COMMANDS`.

What the exit code means is in :mod:`provender.cli.exit_codes`. Results go to standard output. What happens meanwhile is
logged to standard error, as :mod:`provender.logs` says.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from provender import __version__, logs
from provender.cli import options
from provender.cli.exit_codes import ExitCode, as_text
from provender.errors import ProvenderError, SetupError
from provender.private import keep_private
from provender.settings import load_settings
from provender.storage.disk import scratch_errors

COMMANDS = (
    "init",
    "validate",
    "apply",
    "stage",
    "ingest",
    "materialize",
    "online",
    "publish",
    "training-set",
    "status",
    "catalog",
    "explain",
    "quarantine",
    "models",
    "upkeep",
    "setup",
    "up",
    "down",
    "services",
    "completion",
)
"""In the order in which ``provender --help`` lists them; ``-`` in a command is ``_`` in its module's name."""
_VALUED = ("--repo", "--log-format")
_COMPLETING = "_ARGCOMPLETE"
"""Set by the shell that asks for completions (the code that ``provender completion`` prints)."""

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Errors raised on purpose are shown as their message, without a stack trace."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if _COMPLETING in os.environ:
        _complete()
    try:
        args = parse(given)
        with logs.logging_as_asked(args):
            return _run(args)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of our output (head, less) went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DIFFERENT


def parse(given: Sequence[str]) -> argparse.Namespace:
    """Parse a command line. Ends the process with :attr:`ExitCode.USAGE` for one that is wrong."""
    place = _place_of_command(given)
    if place is None:
        return parser().parse_args(given)
    command = given[place]
    module, rest = importlib.import_module(_module(command)), list(given[place + 1 :])
    rest = module.with_verb(rest) if hasattr(module, "with_verb") else rest
    return parser(command).parse_args([*given[: place + 1], *rest])


def _not_installed(module: str) -> SetupError:
    return SetupError(
        f"this command needs {module}, which is not installed",
        remedy="pip install 'provender[local]' for one machine, or the extra of provender that brings it",
    )


def _complete() -> None:
    import argcomplete

    argcomplete.autocomplete(parser(), exclude=["-q", "-v"])  # their long names are offered


def _run(args: argparse.Namespace) -> int:
    try:
        _keep_private(args.repo)
        with scratch_errors():
            return int(importlib.import_module(_module(args.command)).run(args))
    except ProvenderError as error:
        return _say(error)
    except ModuleNotFoundError as error:
        if not error.name or error.name.startswith("provender"):
            raise
        return _say(_not_installed(error.name))


def _say(error: ProvenderError) -> int:
    """Log an error. Returns its exit code."""
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


def parser(asked_for: str | None = None) -> argparse.ArgumentParser:
    """Build a parser of the command asked for; of all, if there is none (help, completion, a misspelt one)."""
    made = _Parser(
        prog="provender",
        description="A batch feature platform.",
        epilog=as_text(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"provender {__version__}")
    options.add_repo(made)
    subparsers = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS if asked_for is None else (asked_for,):
        importlib.import_module(_module(command)).add_parser(subparsers)
    return made


def _place_of_command(arguments: Sequence[str]) -> int | None:
    """Where the first argument is that is neither an option nor the value of one, if it is a command."""
    before = ["", *arguments]
    for place, (previous, word) in enumerate(zip(before, arguments, strict=False)):
        if previous not in _VALUED and not word.startswith("-"):
            return place if word in COMMANDS else None
    return None


def _module(command: str) -> str:
    return f"provender.cli.{command.replace('-', '_')}"
