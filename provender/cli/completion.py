"""``provender completion``: what makes a shell complete commands, options and names."""

from __future__ import annotations

import argparse

HELP = 'print the code that makes a shell complete provender\'s commands: eval "$(provender completion bash)"'
SHELLS = ("bash", "zsh", "fish")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """``completion SHELL``."""
    parser: argparse.ArgumentParser = commands.add_parser("completion", help=HELP, description=HELP)
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the code."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["provender"], shell=args.shell))
    return 0
