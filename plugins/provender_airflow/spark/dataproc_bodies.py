"""A job as Dataproc takes it: a serverless batch, or a job of a cluster. Plain dictionaries with protobuf's names.

Fields are those of Google's discovery document, dataproc v1 (``Batch``, ``Job``); the tests check against it.
"""

from __future__ import annotations

from typing import Any

from provender.settings import Settings
from provender.spark_settings import DataprocSettings
from provender_airflow.spark.application import spark_conf
from provender_airflow.spark.job import SparkJob
from provender_airflow.spark.names import arguments_for, google_label

JOB_LABEL = "provender_job"
ATTEMPT_LABEL = "provender_attempt"


def batch(settings: Settings, job: SparkJob, attempt: str) -> dict[str, Any]:
    """A serverless batch; its id is not part of it."""
    ours = settings.spark.dataproc
    execution = {
        "service_account": ours.service_account,
        "subnetwork_uri": ours.subnetwork,
        "network_tags": list(ours.network_tags),
        "staging_bucket": ours.staging_bucket,
        "ttl": {"seconds": ours.ttl_seconds} if ours.ttl_seconds else None,
    }
    history = {"spark_history_server_config": {"dataproc_cluster": ours.history_server}}
    runtime = {
        "version": ours.runtime_version,
        "container_image": ours.image,
        "properties": _properties(settings, job),
    }
    return {
        "labels": _labels(ours, job, attempt),
        "pyspark_batch": _program(ours, job, attempt),
        "runtime_config": _given(runtime),
        "environment_config": _given(
            {
                "execution_config": _given(execution),
                "peripherals_config": history if ours.history_server else None,
            }
        ),
    }


def cluster_job(settings: Settings, job: SparkJob, name: str, attempt: str, project: str) -> dict[str, Any]:
    """A job of the cluster that is there. It does not start again by itself: that is the task's business."""
    ours = settings.spark.dataproc
    return {
        "reference": {"project_id": project, "job_id": name},
        "placement": {"cluster_name": ours.cluster},
        "labels": _labels(ours, job, attempt),
        "pyspark_job": {**_program(ours, job, attempt), "properties": _properties(settings, job)},
    }


def _program(ours: DataprocSettings, job: SparkJob, attempt: str) -> dict[str, Any]:
    env = [part for name, value in ours.env.items() for part in ("--env", f"{name}={value}")]
    secrets = [part for name, value in ours.secrets.items() for part in ("--secret", f"{name}={value}")]
    program = {
        "main_python_file_uri": ours.launcher,
        "args": [*env, *secrets, job.module, *arguments_for(job, attempt, ours.repo)],
        "jar_file_uris": list(ours.jars),
        "python_file_uris": list(ours.py_files),
    }
    return _given(program)


def _properties(settings: Settings, job: SparkJob) -> dict[str, str]:
    of_executors = {f"spark.executorEnv.{name}": value for name, value in settings.spark.dataproc.env.items()}
    return {**of_executors, **spark_conf(settings, job)}


def _labels(ours: DataprocSettings, job: SparkJob, attempt: str) -> dict[str, str]:
    who = {f"provender_{key}": google_label(value) for key, value in job.labels}
    return {**ours.labels, **who, JOB_LABEL: job.name, ATTEMPT_LABEL: attempt}


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
