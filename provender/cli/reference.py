"""Writes ``docs/cli.md`` from the parser: every command with its arguments, and the exit codes.

python -m provender.cli.reference > docs/cli.md
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from provender.cli.exit_codes import ExitCode
from provender.cli.main import parser

_HEAD = """\
# The command line

Written by `make cli-docs` from the parser. `provender --help` and `provender COMMAND --help` say the same.

Results go to standard output, and with `--json` they are one JSON document; progress, warnings and errors go to
standard error. Names of commands, options, sources and models are completed by bash, zsh and fish after
`eval "$(provender completion bash)"` (a line for `~/.bashrc`).
"""


def reference() -> str:
    """Return the page as Markdown."""
    lines = [_HEAD, "## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code:d} | {code.meaning} |" for code in ExitCode]
    lines += ["", "## Options of every command", "", *_table(parser())]
    for name, command in _commands(parser()):
        lines += ["", f"## provender {name}", "", *_command(name, command)]
    return "\n".join(lines) + "\n"


def _command(name: str, command: argparse.ArgumentParser) -> Iterator[str]:
    yield _sentence(command.description or "")
    inner = dict(_commands(command))
    if not inner:
        yield from ("", f"`{_usage(name, command)}`", *_with_gap(_table(command)))
    for verb, each in inner.items():
        yield from ("", f"`{_usage(f'{name} {verb}', each)}`", "", _sentence(_help_of(command, verb)))
        yield from _with_gap(_table(each))


def _commands(of: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _help_of(command: argparse.ArgumentParser, verb: str) -> str:
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            return next(each.help or "" for each in action._choices_actions if each.dest == verb)
    raise AssertionError(f"{verb} is no verb of {command.prog}")


def _usage(name: str, command: argparse.ArgumentParser) -> str:
    return " ".join(["provender", name, *(_optional(action) for action in _arguments(command))])


def _optional(action: argparse.Action) -> str:
    shown = _shown(action)
    if action.option_strings:
        return shown if action.required else f"[{shown}]"
    return {"?": f"[{shown}]", "*": f"[{shown} …]"}.get(str(action.nargs), shown)


def _shown(action: argparse.Action) -> str:
    if not action.option_strings:
        return str(action.metavar or action.dest)
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    return action.option_strings[-1] + value


def _table(command: argparse.ArgumentParser) -> list[str]:
    rows = [f"| `{_shown(action)}` | {_cell(action.help or '')} |" for action in _arguments(command)]
    return ["| argument | meaning |", "|---|---|", *rows] if rows else []


def _arguments(command: argparse.ArgumentParser) -> list[argparse.Action]:
    left_out = (argparse._HelpAction, argparse._SubParsersAction)
    return [action for action in command._actions if not isinstance(action, left_out)]


def _with_gap(table: list[str]) -> list[str]:
    return ["", *table] if table else []


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


if __name__ == "__main__":
    print(reference(), end="")
