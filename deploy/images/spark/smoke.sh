#!/usr/bin/env bash
# A job as the Spark image runs it, without Docker: the wheel in a fresh environment beside the locked dependencies, the
# jars in SPARK_HOME, and the image's own entrypoint as driver, with what the Spark operator hands to it.
#
#   make install && deploy/images/spark/smoke.sh [FOLDER]     # FOLDER: an empty one; default: a temporary one
# LOCKED: the python of another environment, such as the image's own:
#   UV_PROJECT_ENVIRONMENT=/tmp/spark uv sync --frozen --no-dev --extra spark && LOCKED=/tmp/spark/bin/python …/smoke.sh
set -euo pipefail
image=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$image/../../.." && pwd)
work=${1:-$(mktemp -d)}
UV=${UV:-uv}
locked=${LOCKED:-$root/.venv/bin/python}
where() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }

echo "the wheel of provender, beside the locked dependencies"
"$UV" build --quiet --wheel --out-dir "$work/wheel" "$root"
"$UV" venv --quiet --python "$locked" "$work/venv"
python=$work/venv/bin/python
"$UV" pip install --quiet --no-deps --python "$python" "$work"/wheel/*.whl
packages=$(where "$python")
# A path, not an environment: the checkout's own provender, which is installed there by a .pth file, is not on it.
where "$locked" >"$packages/locked.pth"

mkdir -p "$work/spark" "$work/feature_defs/sources" "$work/raw"
cp -Rs "$(where "$locked")/pyspark/." "$work/spark"
if [ -d "$root/.provender/jars" ]; then cp -s "$root"/.provender/jars/*.jar "$work/spark/jars"; fi

cat >"$work/feature_defs/feature_store.yaml" <<END
project: smoke
online_store: {type: redis, connection_string: "127.0.0.1:1"}
provender:
  storage_root: ../storage
  state_dir: ../state
  spark: {backend: kubernetes, kubernetes: {image: "smoke:0"}}
END
cat >"$work/feature_defs/sources/trips.yaml" <<END
name: trips
description: What drivers did
owner: smoke
cadence: daily
start: 2026-11-01
raw: {uri: "../raw/{partition}.csv", format: csv}
event_timestamp: {column: at}
columns:
  - {name: driver_id, type: INT64}
  - {name: at, type: TIMESTAMP}
  - {name: fare, type: DOUBLE}
tables:
  - {name: trips, keys: [driver_id]}
END
printf 'driver_id,at,fare\n1,2026-11-05T08:00:00Z,9.5\n2,2026-11-05T09:00:00Z,4\n' >"$work/raw/2026-11-05.csv"

# What the image sets, and what Spark sets in its pods.
export SPARK_HOME=$work/spark PATH=$work/venv/bin:$PATH PYSPARK_PYTHON=$python PYSPARK_DRIVER_PYTHON=$python
export PROVENDER_REPO=$work/feature_defs SPARK_DRIVER_BIND_ADDRESS=127.0.0.1
# What a Spark Connect client leaves in the environment of the process that it ran in: a pod has none of it.
unset PYTHONPATH SPARK_API_MODE SPARK_CONNECT_MODE_ENABLED SPARK_LOCAL_REMOTE SPARK_REMOTE
cd "$work" # nothing is imported from the checkout
"$python" -c 'import provender, sys; sys.exit(not provender.__file__.startswith(sys.prefix))'
"$python" -m provender.spark.jars --repo "$PROVENDER_REPO" --into "$SPARK_HOME/jars"
"$python" -m provender stage trips 2026-11-05

printf 'spark.master=local[1]\nspark.driver.memory=1g\nspark.ui.enabled=false\nspark.driver.host=127.0.0.1\nspark.log.level=WARN\n' >spark.properties
bash "$image/entrypoint.sh" driver --properties-file "$work/spark.properties" \
  --class org.apache.spark.deploy.PythonRunner "local://$packages/spark_jobs/launch.py" \
  spark_jobs.ingest --repo "$PROVENDER_REPO" --source trips --partitions 2026-11-05 --attempt smoke-1
grep -q '"attempt": *"smoke-1"' "$work"/storage/ledger/trips/ingest/*.json
echo "smoke: the manifest of attempt smoke-1 is committed"
if [ $# = 0 ]; then rm -rf "$work"; fi
