"""What the backends ask of the Kubernetes API, as the Role of ``deploy/kubernetes/rbac.yaml`` has to allow it.

One entry is (API group, resource, verb). The tests' API servers refuse every other call, and a test compares this list
with what the backends really called.
"""

from __future__ import annotations

Call = tuple[str, str, str]

SPARK_CALLS: frozenset[Call] = frozenset(
    {
        *(
            ("sparkoperator.k8s.io", "sparkapplications", verb)
            for verb in ("create", "get", "list", "patch", "delete")
        ),
        ("", "pods", "get"),
        ("", "pods/log", "get"),
    }
)
"""In ``provender.spark.kubernetes.namespace``."""

SERVING_CALLS: frozenset[Call] = frozenset(
    ("serving.kserve.io", "inferenceservices", verb) for verb in ("create", "get", "patch", "delete")
)
"""In ``provender.serving.namespace``. Server-side apply is a patch, and a create as well where the object is new."""

CALLS = SPARK_CALLS | SERVING_CALLS
