"""A bucket of Google Cloud Storage, or a folder of one (``gs://bucket/folder``).

Imports the Google client: only :func:`provender.storage.storage_at` comes here, and only for ``gs://``.
"""

from provender.storage.gcs.storage import GcsStorage

__all__ = ["GcsStorage"]
