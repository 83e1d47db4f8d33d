"""Historical features as a job of its own: entity rows in a file, features beside them in another.

    python -m provender.feast.historical --repo R --entities ROWS --features a:b,c:d --output SET.parquet

The receipt ``SET.parquet.json`` is written last: it says which attempt wrote which rows of which features.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from feast import FeatureService, FeatureStore

from provender.errors import ContractError, ProvenderError, SettingsError
from provender.storage import local_path

EVENT_TIMESTAMP = "event_timestamp"


def write_training_set(
    repo: Path, entities: str, features: list[str], output: str, attempt: str, *, as_known: bool = False
) -> int:
    """Joins ``features`` (``view:feature``, or one feature service's name) to the entity rows, point in time.

    ``entities``: a Parquet or CSV file with the entities' join keys and ``event_timestamp`` (UTC).
    ``as_known`` leaves out what was created after a row's time. Writes Parquet: the entity rows' columns,
    then the features, one row for each entity row. Returns the number of rows.

    Raises :class:`ContractError` for entity rows that cannot be used, :class:`SettingsError` for a feature
    service that is not registered.
    """
    store = FeatureStore(str(repo))
    rows = _entity_rows(local_path(entities))
    wanted = features if ":" in features[0] else _service(store, features[0])
    job = store.get_historical_features(rows, wanted, filter_by_created_timestamp=as_known)
    table = job.to_arrow()
    target = local_path(output)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    pq.write_table(table, draft, coerce_timestamps="us", allow_truncated_timestamps=True)
    draft.replace(target)
    receipt = {
        "attempt": attempt,
        "rows": table.num_rows,
        "columns": table.column_names,
        "features": features,
    }
    receipt_path(output).write_text(json.dumps(receipt, indent=1), encoding="utf-8")
    return int(table.num_rows)


def receipt_path(output: str) -> Path:
    """Where the receipt of a training set is."""
    target = local_path(output)
    return target.with_name(f"{target.name}.json")


def _entity_rows(path: Path) -> pd.DataFrame:
    try:
        rows = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ContractError(f"the entity rows cannot be read: {error}", where=str(path)) from error
    if EVENT_TIMESTAMP not in rows:
        raise ContractError(f"the entity rows have no column {EVENT_TIMESTAMP}", where=str(path))
    return rows.assign(**{EVENT_TIMESTAMP: pd.to_datetime(rows[EVENT_TIMESTAMP], utc=True)})


def _service(store: FeatureStore, name: str) -> FeatureService:
    known = [service.name for service in store.list_feature_services()]
    if name not in known:
        raise SettingsError(
            f"no feature service is called {name!r}",
            remedy=f"known: {', '.join(known) or 'none'}; or view:feature",
        )
    return store.get_feature_service(name)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Point-in-time features for entity rows.")
    parser.add_argument("--repo", required=True, type=Path)
    parser.add_argument("--entities", required=True, help="Parquet or CSV file of entity rows")
    parser.add_argument("--features", required=True, help="view:feature,… or the name of a feature service")
    parser.add_argument("--output", required=True, help="Parquet file to write")
    parser.add_argument(
        "--as-known", action="store_true", help="leave out what was created after a row's time"
    )
    parser.add_argument("--attempt", required=True)
    given = parser.parse_args(arguments)
    wanted = given.features.split(",")
    try:
        count = write_training_set(
            given.repo, given.entities, wanted, given.output, given.attempt, as_known=given.as_known
        )
    except ProvenderError as error:
        print(error, file=sys.stderr)
        print(f"PROVENDER_ERROR {json.dumps(error.to_dict())}", file=sys.stderr)
        return error.exit_code
    print(f"wrote {count} rows to {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
