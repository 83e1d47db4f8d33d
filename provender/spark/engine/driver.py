"""The local engine's driver program: a Spark context with a Spark Connect server in it, for as long as its JVM lives.

Spark's own ``SparkConnectServer`` gives every session a class loader and Python workers of its own: each job would
compile its plans anew, and leave a Python process behind. Here sessions share both.
"""

from __future__ import annotations

import sys
from typing import Any

from pyspark.sql import SparkSession


def main() -> None:
    context: Any = SparkSession.builder.getOrCreate().sparkContext
    # Only now: a request needs the session, so whoever finds the port open may ask.
    context._jvm.org.apache.spark.sql.connect.service.SparkConnectService.start(context._jsc.sc())
    sys.stdin.read()  # a pipe from the JVM, which never writes to it


if __name__ == "__main__":
    main()
