"""The training pipeline as Kubeflow sees it: ``python pipeline.py`` compiles it to ``pipeline.yaml`` beside it.

load → train → evaluate. The same compiled file runs on a cluster, through the Pipelines API or from Kubeflow's UI, and
on one machine (``python -m provender_training.run``). Every path is a parameter, since volumes exist on clusters only.

The components hold no logic: their source is copied into the compiled file, :mod:`provender_training.steps` is not.
"""

import sys
from pathlib import Path

from kfp import compiler, dsl, kubernetes
from kfp.dsl import HTML, ClassificationMetrics, Markdown, Metrics, Output

IMAGE = "provender-training"
"""Whoever submits the pipeline may put the image of their registry in its place."""
COMPILED = Path(__file__).parent / "pipeline.yaml"
WORKSPACE = "/workspace"
SECRET_FOLDER = "/var/run/secrets/provender"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def load(
    workspace: str,
    run_name: str,
    job_name: str,
    model_name: str,
    output_uri: str,
    training_set_uri: str,
    lockfile_uri: str,
    test_share: float,
    repo: str,
    entities_uri: str,
    features: list,
    label: str,
    request: dict,
) -> str:
    """Checks the training set against its lockfile, and splits it by time. Returns the training set's URI.

    Without one it is built first: entity rows from entities_uri, historical features from Feast.
    """
    from provender_training.components import load_step

    asked = {"uri": entities_uri, "features": features, "label": label, "request": request, "repo": repo}
    return load_step(
        workspace,
        run_name or job_name,
        model_name,
        output_uri,
        training_set_uri,
        lockfile_uri,
        test_share,
        asked,
    )


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train(
    workspace: str,
    run_name: str,
    job_name: str,
    model_name: str,
    output_uri: str,
    mode: str,
    module: str,
    parameters: dict,
) -> str:
    """Fits the model on the training part. Returns what the model predicts, in words."""
    from provender_training.components import train_step

    return train_step(workspace, run_name or job_name, model_name, output_uri, mode, module, parameters)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    workspace: str,
    run_name: str,
    job_name: str,
    output_uri: str,
    baseline_uri: str,
    metrics: Output[Metrics],
    classification: Output[ClassificationMetrics],
    report: Output[HTML],
    model_card: Output[Markdown],
) -> str:
    """Measures on the held-out rows, next to the serving model, and writes the artifact. Returns its URI."""
    from provender_training.components import evaluate_step

    return evaluate_step(
        workspace, run_name or job_name, output_uri, baseline_uri, metrics, classification, report, model_card
    )


@dsl.pipeline(
    name="provender-training",
    description="load, train, evaluate: from a training set to a model artifact",
)
def training_pipeline(
    model_name: str,
    output_uri: str,
    run_name: str = "",
    training_set_uri: str = "",
    lockfile_uri: str = "",
    mode: str = "classification",
    module: str = "provender_training.modules.gradient_boosting",
    parameters: dict = {},  # noqa: B006 (kfp takes the default's value)
    test_share: float = 0.2,
    baseline_uri: str = "",
    repo: str = "",
    entities_uri: str = "",
    features: list = [],  # noqa: B006
    label: str = "",
    request: dict = {},  # noqa: B006
    workspace: str = WORKSPACE,
    workspace_claim: str = "provender-workspace",
    service_account_secret: str = "provender-service-account",
) -> None:
    loaded = load(
        workspace=workspace,
        run_name=run_name,
        job_name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
        model_name=model_name,
        output_uri=output_uri,
        training_set_uri=training_set_uri,
        lockfile_uri=lockfile_uri,
        test_share=test_share,
        repo=repo,
        entities_uri=entities_uri,
        features=features,
        label=label,
        request=request,
    )
    trained = train(
        workspace=workspace,
        run_name=run_name,
        job_name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
        model_name=model_name,
        output_uri=output_uri,
        mode=mode,
        module=module,
        parameters=parameters,
    ).after(loaded)
    evaluated = evaluate(
        workspace=workspace,
        run_name=run_name,
        job_name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
        output_uri=output_uri,
        baseline_uri=baseline_uri,
    ).after(trained)
    for step in (loaded, trained, evaluated):
        # What a step leaves in the workspace is not in its outputs, so Kubeflow must not take it as done.
        step.set_caching_options(False)
        kubernetes.mount_pvc(step, pvc_name=workspace_claim, mount_path=WORKSPACE)
        kubernetes.use_secret_as_volume(
            step, secret_name=service_account_secret, mount_path=SECRET_FOLDER, optional=True
        )


def compile_to(path: Path) -> None:
    """Writes the compiled pipeline."""
    compiler.Compiler().compile(training_pipeline, str(path))


if __name__ == "__main__":
    compile_to(Path(sys.argv[1]) if len(sys.argv) > 1 else COMPILED)
