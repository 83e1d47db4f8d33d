"""What a shell is told when somebody presses Tab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provender.cli.completion import SHELLS
from provender.cli.main import main
from tests.engine import CHECKOUT

REPO = CHECKOUT / "feature_defs"


def completions(line: str, tmp_path: Path) -> set[str]:
    """What argcomplete's protocol answers for a line with the cursor at its end."""
    answer = tmp_path / "answer"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "PROVENDER_REPO": str(REPO),
    }
    command = [sys.executable, "-m", "provender"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {word.strip() for word in answer.read_text().splitlines()}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("provender mat", {"materialize"}),
        ("provender ingest ", {"driver_statistics", "flights", "weather"}),
        ("provender status fl", {"flights"}),
        ("provender training-set build ", {"flight_delay"}),
        ("provender models rollback ", {"flight_delay"}),
        ("provender ingest flights ", set()),
        ("provender models ", {"list", "show", "rollback"}),
        ("provender quarantine list --ro", {"--rows"}),
        (f"provender --repo {CHECKOUT / 'tests'} ingest ", set()),
    ],
)
def test_commands_options_and_names_are_completed(line: str, expected: set[str], tmp_path: Path) -> None:
    found = completions(line, tmp_path)
    assert {word for word in found if word.startswith("--") == ("--" in line.split()[-1])} - {
        "-h"
    } == expected


@pytest.mark.parametrize("shell", SHELLS)
def test_the_code_is_for_the_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "provender" in capsys.readouterr().out


def test_bash_takes_the_code() -> None:
    bash = shutil.which("bash")
    assert bash is not None
    script = 'eval "$("$0" -m provender completion bash)" && complete -p provender'
    done = subprocess.run(
        [bash, "-c", script, sys.executable], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "provender" in done.stdout
