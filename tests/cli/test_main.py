from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from provender import __version__
from provender.cli import main as cli
from provender.cli.exit_codes import ExitCode
from provender.errors import LockHeldError, SpecError, TerminalError, TransientError

REPO = Path(__file__).parents[2] / "feature_defs"


def test_every_command_has_a_module_with_a_parser_and_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    for command in cli.COMMANDS:
        assert command in shown
        assert callable(importlib.import_module(f"provender.cli.{command.replace('-', '_')}").run)


def test_a_wrong_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["validte"])
    assert stopped.value.code == 2
    assert "invalid choice: 'validte' (choose from 'init', 'validate'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(SpecError("a is wrong", remedy="fix it"), 3), (LockHeldError("b"), 4)]
)
def test_an_error_is_its_message_and_its_exit_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(args: object) -> int:
        raise error

    monkeypatch.setattr("provender.cli.validate.run", fail)
    assert cli.main(["validate"]) == code
    assert capsys.readouterr().err == f"{error}\n"


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"provender {__version__}\n"


def test_the_errors_exit_codes_are_those_that_are_documented() -> None:
    assert TerminalError.exit_code == ExitCode.TERMINAL
    assert TransientError.exit_code == ExitCode.TRANSIENT


def test_an_interrupt_is_no_stack_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("provender.cli.validate.run", interrupt)
    assert cli.main(["validate"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_repo_may_be_called_like_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--repo", str(tmp_path / "up"), "validate"]) == 3
    assert "no feature_store.yaml there" in capsys.readouterr().err


def test_help_and_version_need_the_core_alone() -> None:
    program = (
        "import sys\n"
        "for name in ('pyspark', 'feast', 'airflow', 'pandas', 'duckdb', 'redis', 'deltalake', 'psutil'):\n"
        "    sys.modules[name] = None\n"
        "from provender.cli.main import main; main(['--help'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_library_that_is_not_installed_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "feast", None)
    monkeypatch.delitem(sys.modules, "provender.feast.apply", raising=False)
    assert cli.main(["--repo", str(REPO), "apply", "--dry-run"]) == 3
    assert "pip install 'provender[local]'" in capsys.readouterr().err


def test_validate_imports_nothing_heavy() -> None:
    program = (
        "import sys; from provender.cli.main import main; main(['--repo', sys.argv[1], 'validate']); "
        "print(sorted({'pyspark', 'feast', 'airflow', 'pandas', 'duckdb', 'redis'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(REPO)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
