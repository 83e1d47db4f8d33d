"""Runs the compiled pipeline on this machine: ``python -m provender_training.run``.

    --pipeline FILE     the compiled pipeline; default: pipeline.yaml of this environment
    --arguments JSON    its parameters; model_name, output_uri and run_name at least
    --result FILE       where the result document goes (see provender.model_registry.runs)
    --work DIR          for what steps leave to one another; removed at the end. Default: a temporary folder

Each step is a process of its own, as on a cluster; what it says is in this process's output. Exit code 0: the result
is written. 3: no retry can fix it; 4: a retry may. Why is then in the failure document,
``<output_uri>/failures/<run_name>.json``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provender.errors import (
    KubeflowError,
    ProvenderError,
    SpecError,
    StorageError,
)
from provender.failures import Failure, error_of, leave_failure, read_failure
from provender.model_registry.runs import read_result

HOME = Path(__file__).resolve().parent.parent
PIPELINE = HOME / "pipeline.yaml"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pipeline", type=Path, default=PIPELINE)
    parser.add_argument("--arguments", required=True, type=json.loads)
    parser.add_argument("--result", type=Path)
    parser.add_argument("--work", type=Path)
    parsed = parser.parse_args()
    work = parsed.work or Path(tempfile.mkdtemp(prefix="provender-training-"))
    try:
        result = run(parsed.pipeline, parsed.arguments, work)
    except ProvenderError as error:
        print(error, file=sys.stderr, flush=True)
        _leave(parsed.arguments, error)
        return error.exit_code
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if parsed.result:
        parsed.result.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return 0


def _leave(arguments: Mapping[str, Any], error: ProvenderError) -> None:
    """Leave a failure document, unless a step has left its own."""
    output_uri, run_name = arguments.get("output_uri"), arguments.get("run_name")
    if output_uri and run_name and error_of(output_uri, run_name) is None:
        leave_failure(output_uri, Failure(run_name, error))


def run(pipeline: Path, arguments: Mapping[str, Any], work: Path) -> dict[str, Any]:
    """Runs the pipeline and returns its result document. Raises the error that a step reported."""
    lacking = [name for name in ("model_name", "output_uri", "run_name") if not arguments.get(name)]
    if lacking:
        raise SpecError(f"the pipeline needs {', '.join(lacking)}", where="--arguments")
    output_uri, run_name = arguments["output_uri"], arguments["run_name"]
    try:
        _run_with_kfp(pipeline, {**arguments, "workspace": str(work / "workspace")}, work / "kfp")
    except RuntimeError as error:
        raise _error(output_uri, run_name, str(error)) from error
    result = read_result(output_uri, run_name)
    if result is None:
        raise StorageError("the run ended without a result", where=f"{output_uri}/runs/{run_name}.json")
    return result


def _run_with_kfp(pipeline: Path, arguments: Mapping[str, Any], root: Path) -> None:
    """Raises :class:`RuntimeError` if a step fails."""
    from kfp import components, local

    # The compiled steps call "python3": it has to be this environment's, and has to find this package.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HOME), os.environ.get("PYTHONPATH")]))
    os.environ["PYTHONUNBUFFERED"] = "1"
    # Kubeflow prints every artifact's metadata, the whole ROC curve in one line; the steps say what matters.
    logging.disable(logging.INFO)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(root), workspace_root=str(root))
    try:
        loaded = components.load_component_from_file(str(pipeline))
        task = loaded(**arguments)
    except TypeError as error:
        raise SpecError(
            f"the pipeline does not take these parameters: {error}",
            where=str(pipeline),
            remedy="training/pipeline.py lists its parameters",
        ) from error
    print(f"{pipeline.name}: {task.state}")


def _error(output_uri: str, run_name: str, said: str) -> ProvenderError:
    failure = read_failure(output_uri, run_name)
    if failure is None:
        return KubeflowError(
            f"a step of the pipeline ended without a report: {said}",
            where="its last lines are above",
            not_affected="whatever serves now",
            remedy="if it was killed for its memory, take a shorter window of training rows",
        )
    return failure.error


if __name__ == "__main__":
    sys.exit(main())
