"""provender: a batch feature platform on Airflow, Spark and Feast.

What a user's file needs, imported when it is first used:

    provender.source("driver_statistics")       the stock Feast data source of a feature table
    provender.schema("driver_statistics")       its entity keys and features as Feast fields
    provender.definitions("../feature_defs")    another feature repo's objects, over this repo's offline store
    provender.ingest("driver_statistics", df)   a DataFrame into the source, as if it were a file
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from provender.version import __version__ as __version__

if TYPE_CHECKING:
    from provender.feast.borrowed import definitions as definitions
    from provender.feast.sources import schema as schema
    from provender.feast.sources import source as source
    from provender.ingestion.dataframe import ingest as ingest

_HOMES = {
    "source": "provender.feast.sources",
    "schema": "provender.feast.sources",
    "definitions": "provender.feast.borrowed",
    "ingest": "provender.ingestion.dataframe",
}


def __getattr__(name: str) -> Any:
    # PEP 562: `import provender` must cost nothing, and the specs must not need Feast.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
