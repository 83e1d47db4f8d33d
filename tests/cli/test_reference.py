"""``docs/cli.md`` is what the parser says."""

from __future__ import annotations

import argparse

from provender.cli.exit_codes import ExitCode
from provender.cli.main import COMMANDS, parser
from provender.cli.reference import reference
from tests.engine import CHECKOUT


def test_the_page_is_what_the_parser_says() -> None:
    assert (CHECKOUT / "docs/cli.md").read_text() == reference(), "run: make cli-docs"


def test_the_page_has_every_command_and_every_exit_code() -> None:
    page = reference()
    for command in COMMANDS:
        assert f"\n## provender {command}\n" in page
    for code in ExitCode:
        assert f"| {code:d} | {code.meaning} |" in page


def test_every_argument_is_explained() -> None:
    unexplained = [f"{each.prog} {action.dest}" for each, action in arguments(parser()) if not action.help]
    assert unexplained == []


def arguments(of: argparse.ArgumentParser) -> list[tuple[argparse.ArgumentParser, argparse.Action]]:
    """Every argument of a parser and of those under it; choosing a command is none."""
    found = []
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += [each for inner in action.choices.values() for each in arguments(inner)]
        else:
            found.append((of, action))
    return found
