"""What submissions are called, and what is written on them, on systems that have rules for names."""

from __future__ import annotations

import re
import secrets

from provender_airflow.spark.job import SparkJob

_DIGEST = 8
_READABLE = 30
_MAX_LABEL = 63
ATTEMPT_PLACEHOLDER = "{attempt}"


def submission_name(job: str, number: int) -> str:
    """The name of a job's ``number``-th submission: the same whenever asked.

    A DNS label that begins with a letter, as the Spark operator's webhook wants it, 50 characters at most: what
    operator and Spark add for pods and services fits into 63.
    """
    readable, digest = job[: -_DIGEST - 1], job[-_DIGEST:]
    start = readable if readable[:1].isalpha() else f"job-{readable}"
    return f"{start[:_READABLE].strip('-')}-{digest}-{number}"


def number_of(name: str) -> int:
    """The number in a submission's name; 0 if there is none."""
    last = name.rpartition("-")[2]
    return int(last) if last.isdecimal() else 0


def new_attempt(name: str) -> str:
    """A new id for the submission ``name``. Names come again when old objects are gone; attempts never do."""
    return f"{name}-{secrets.token_hex(3)}"


def arguments_for(job: SparkJob, attempt: str, repo: str) -> list[str]:
    """The job's arguments with the attempt's id in them, and the feature repo's place where it runs."""
    filled = [argument.replace(ATTEMPT_PLACEHOLDER, attempt) for argument in job.arguments]
    return [
        repo if before == "--repo" else argument
        for before, argument in zip(["", *filled], filled, strict=False)
    ]


def label_value(text: str) -> str:
    """``text`` as Kubernetes takes values of labels."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:_MAX_LABEL].strip("-_.")


def google_label(text: str) -> str:
    """``text`` as Google takes keys and values of labels."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:_MAX_LABEL].strip("-")
