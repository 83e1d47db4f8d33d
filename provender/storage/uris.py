"""URIs of files as the engines want them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlparse


def local_path(uri: str) -> Path:
    """The path of a ``file://`` URI or bare path."""
    parsed = urlparse(uri)
    return Path(unquote(parsed.path)) if parsed.scheme == "file" else Path(uri)


def spark_path(uri: str) -> str:
    """How Spark wants the path behind a ``file://`` URI: it does not decode what URIs encode."""
    return f"file://{local_path(uri)}" if urlparse(uri).scheme == "file" else uri
