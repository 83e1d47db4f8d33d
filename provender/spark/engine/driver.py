"""The local engine's driver program: a Spark context with a Spark Connect server in it, for as long as its JVM lives.

Spark's own ``SparkConnectServer`` gives every session a class loader and Python workers of its own: each job would
compile its plans again, and leave a Python process behind. Here sessions share both.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession


def main() -> None:
    context: Any = SparkSession.builder.getOrCreate().sparkContext
    # Only now: a request needs the session, so whoever finds the port open may ask.
    services = context._jvm.org.apache.spark.sql.connect.service
    service = getattr(getattr(services, "SparkConnectService$"), "MODULE$")  # Scala's one object of that name
    service.start(context._jsc.sc())
    _say_ready(Path(os.environ["PROVENDER_ENGINE_READY"]), int(service.localPort()))
    sys.stdin.read()  # a pipe from the JVM, which never writes to it


def _say_ready(path: Path, port: int) -> None:
    """The port is the system's choice, so nobody else can have taken it before."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"port": port}), encoding="utf-8")
    draft.replace(path)


if __name__ == "__main__":
    main()
