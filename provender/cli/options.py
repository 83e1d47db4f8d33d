"""Options and arguments that several commands share, each declared once."""

from __future__ import annotations

import argparse
import getpass
import json
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Parser = argparse.ArgumentParser
_SOURCES, _MODELS = "sources", "models"


def add_repo(parser: Parser) -> None:
    """``--repo FOLDER``, which every command takes."""
    parser.add_argument(
        "--repo",
        metavar="FOLDER",
        help="the feature repo (default: the nearest feature_defs/, or $PROVENDER_REPO)",
    )


def add_json(parser: Parser) -> None:
    """``--json``, of every command that prints results: standard output is then one JSON document."""
    parser.add_argument("--json", action="store_true", help="print a JSON document instead of lines")


def add_full(parser: Parser, text: str) -> None:
    """``--full``, of the commands that otherwise write what changed."""
    parser.add_argument("--full", action="store_true", help=text)


def add_rows(parser: Parser, default: int, text: str = "how many rows to show") -> None:
    """``--rows N``."""
    parser.add_argument("--rows", type=int, default=default, metavar="N", help=f"{text} (default: {default})")


def add_source(parser: Parser) -> None:
    """``SOURCE``, completed from the repo's specs."""
    complete(parser.add_argument("source", metavar="SOURCE", help="name of the source"), _SOURCES)


def add_sources(parser: Parser) -> None:
    """``[SOURCE …]``."""
    complete(
        parser.add_argument("sources", nargs="*", metavar="SOURCE", help="only these (default: all)"),
        _SOURCES,
    )


def add_model(parser: Parser, *, nargs: str | None = None, text: str = "name of the model") -> None:
    """``MODEL``."""
    complete(parser.add_argument("model", nargs=nargs, metavar="MODEL", help=text), _MODELS)


def complete(action: argparse.Action, room: str) -> None:
    """Let the shell complete an argument with the names of the repo's ``<room>/*.yaml``."""
    action.completer = _names_in(room)  # type: ignore[attr-defined] # what argcomplete looks for


def add_key(parser: Parser, name: str, text: str, *, nargs: str | None = None) -> None:
    """A partition key or range of them: no file's name is offered for it."""
    action = parser.add_argument(name.lower(), nargs=nargs, metavar=name, help=text)
    action.completer = _nothing  # type: ignore[attr-defined]


def key_values(text: str) -> dict[str, str]:
    """Read ``NAME=VALUE[,NAME=VALUE …]``, an entity key. Raises :class:`argparse.ArgumentTypeError`."""
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name and equals for name, equals, _ in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE[,NAME=VALUE …]")
    return {name: value for name, _, value in pairs}


def _nothing(**_: Any) -> list[str]:
    return []


def _names_in(room: str) -> Callable[..., list[str]]:
    def names(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
        from provender.settings import find_repo

        repo = Path(parsed_args.repo) if parsed_args.repo else find_repo()
        return sorted(path.stem for path in (repo / room).glob("*.yaml"))

    return names


def attempt_name() -> str:
    """Return a name for what one command does: ``cli-<user>-<UTC time>-<random>``."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return f"cli-{getpass.getuser()}-{moment}-{secrets.token_hex(3)}"


def print_json(document: Any) -> None:
    """Print a JSON document on standard output."""
    print(json.dumps(document, indent=2))


@contextmanager
def progress_aside(as_json: bool) -> Iterator[None]:
    """Send what is printed meanwhile to standard error, if a JSON document is to be alone on standard output."""
    if not as_json:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield
