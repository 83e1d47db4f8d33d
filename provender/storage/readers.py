"""How engines that open files by URI reach a ``gs://`` root: each has settings of its own for the same thing.

All of them take Google's application default credentials by themselves. An emulator each has to be told of;
``STORAGE_EMULATOR_HOST`` (``http://host:port``), which only Google's client reads, names it here for all.
"""

from __future__ import annotations

import json
import os
from contextvars import ContextVar
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pyarrow import fs

EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"
KEY_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
key_file: ContextVar[str | None] = ContextVar("key_file", default=None)
"""A key file for this context alone, for Google's client: one process may work for many. None: the default."""


def emulator_url() -> str | None:
    """The base URL of the emulator, or None: then it is Google's."""
    host = os.environ.get(EMULATOR_VARIABLE, "").rstrip("/")
    if not host:
        return None
    return host if "://" in host else f"http://{host}"


def delta_options(uri: str) -> dict[str, str]:
    """``storage_options`` for ``deltalake``."""
    emulator = emulator_url()
    if not uri.startswith("gs://") or emulator is None:
        return {}
    # The key of a service account with Google's own fields left empty: object_store reads the address from there.
    names = ("client_email", "private_key", "private_key_id")
    key = {**dict.fromkeys(names, ""), "gcs_base_url": emulator, "disable_oauth": True}
    return {"google_service_account_key": json.dumps(key), "allow_http": "true"}


def arrow_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """Arrow's file system for ``uri``, and the path on it."""
    from pyarrow import fs

    emulator = emulator_url()
    if not uri.startswith("gs://") or emulator is None:
        filesystem, path = fs.FileSystem.from_uri(uri)
        return filesystem, path
    address = urlsplit(emulator)
    emulated = fs.GcsFileSystem(anonymous=True, scheme=address.scheme, endpoint_override=address.netloc)
    return emulated, uri.removeprefix("gs://")


def hadoop_conf(uri: str) -> dict[str, str]:
    """Spark settings for ``gs://`` (the GCS connector has to be on its class path); empty for other roots."""
    if not uri.startswith("gs://"):
        return {}
    conf = {
        "fs.gs.impl": "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFileSystem",
        "fs.AbstractFileSystem.gs.impl": "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFS",
    }
    emulator = emulator_url()
    if emulator is not None:
        conf |= {
            "fs.gs.storage.root.url": emulator,
            "fs.gs.auth.service.account.enable": "false",
            "fs.gs.auth.null.enable": "true",
        }
    hadoop = {f"spark.hadoop.{name}": value for name, value in conf.items()}
    return {"spark.delta.logStore.gs.impl": "io.delta.storage.GCSLogStore", **hadoop}
