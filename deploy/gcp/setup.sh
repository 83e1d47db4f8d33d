#!/usr/bin/env bash
# Google's side of the platform. Run it again at any time: what is there stays, what is missing is made.
#
#   PROJECT_ID=my-project [REGION=europe-west1] deploy/gcp/setup.sh
#
# Besides, where they are used:
#   KUBEFLOW=1       the pods of Kubeflow Pipelines (kubeflow/pipeline-runner) act as the platform
#   DATAPROC=1       Spark on Dataproc: its API, and the roles to submit batches and to run them
#   BIGQUERY=1       tables published to BigQuery: the data set `features`
#   KEY_FILE=key.json   a key of the service account, where workload identity cannot be had
# No role of Vertex AI: nothing here calls it. No role on the whole project but what Dataproc and BigQuery know no smaller.
set -euo pipefail
: "${PROJECT_ID:?the Google Cloud project}"
REGION=${REGION:-europe-west1}
DATA=$PROJECT_ID-provender
LOGS=$PROJECT_ID-provender-logs
PLATFORM=provender@$PROJECT_ID.iam.gserviceaccount.com
READER=provender-reader@$PROJECT_ID.iam.gserviceaccount.com
here=$(dirname "$0")

g() { gcloud --project "$PROJECT_ID" --quiet "$@"; }

service_account() { # NAME DESCRIPTION
  g iam service-accounts describe "$1@$PROJECT_ID.iam.gserviceaccount.com" >/dev/null 2>&1 ||
    g iam service-accounts create "$1" --display-name "$2"
  echo "service account $1"
}

bucket() { # NAME
  g storage buckets describe "gs://$1" >/dev/null 2>&1 ||
    g storage buckets create "gs://$1" --location "$REGION" --uniform-bucket-level-access --public-access-prevention
  echo "bucket gs://$1"
}

on_bucket() { # BUCKET ACCOUNT ROLE
  g storage buckets add-iam-policy-binding "gs://$1" --member "serviceAccount:$2" --role "$3" >/dev/null
  echo "$2 has $3 on gs://$1"
}

on_project() { # ACCOUNT ROLE
  g projects add-iam-policy-binding "$PROJECT_ID" --member "serviceAccount:$1" --role "$2" --condition None >/dev/null
  echo "$1 has $2 on the project"
}

acts_as() { # NAMESPACE/SERVICEACCOUNT ACCOUNT
  g iam service-accounts add-iam-policy-binding "$2" --role roles/iam.workloadIdentityUser \
    --member "serviceAccount:$PROJECT_ID.svc.id.goog[$1]" >/dev/null
  echo "$1 acts as $2"
}

g services enable artifactregistry.googleapis.com container.googleapis.com iam.googleapis.com \
  iamcredentials.googleapis.com storage.googleapis.com

bucket "$DATA"
bucket "$LOGS"
g storage buckets update "gs://$LOGS" --lifecycle-file "$here/logs-lifecycle.json" >/dev/null

service_account provender "provender: tasks, Spark, training"
service_account provender-reader "provender: predictors, Airflow's web pages"
for name in "$DATA" "$LOGS"; do on_bucket "$name" "$PLATFORM" roles/storage.objectAdmin; done
for name in "$DATA" "$LOGS"; do on_bucket "$name" "$READER" roles/storage.objectViewer; done

acts_as_platform=(provender/airflow provender-spark/spark)
if [ -n "${KUBEFLOW:-}" ]; then acts_as_platform+=(kubeflow/pipeline-runner); fi
for who in "${acts_as_platform[@]}"; do acts_as "$who" "$PLATFORM"; done
for who in provender/airflow-web provender-models/serving; do acts_as "$who" "$READER"; done

g artifacts repositories describe provender --location "$REGION" >/dev/null 2>&1 ||
  g artifacts repositories create provender --location "$REGION" --repository-format docker
number=$(g projects describe "$PROJECT_ID" --format 'value(projectNumber)')
g artifacts repositories add-iam-policy-binding provender --location "$REGION" --role roles/artifactregistry.reader \
  --member "serviceAccount:$number-compute@developer.gserviceaccount.com" >/dev/null
echo "registry $REGION-docker.pkg.dev/$PROJECT_ID/provender"

if [ -n "${DATAPROC:-}" ]; then
  g services enable dataproc.googleapis.com
  on_project "$PLATFORM" roles/dataproc.editor
  on_project "$PLATFORM" roles/dataproc.worker
  g iam service-accounts add-iam-policy-binding "$PLATFORM" --role roles/iam.serviceAccountUser \
    --member "serviceAccount:$PLATFORM" >/dev/null
fi

if [ -n "${BIGQUERY:-}" ]; then
  g services enable bigquery.googleapis.com
  on_project "$PLATFORM" roles/bigquery.jobUser
  bq --project_id "$PROJECT_ID" show --dataset features >/dev/null 2>&1 ||
    bq --project_id "$PROJECT_ID" --location "$REGION" mk --dataset features
  bq --project_id "$PROJECT_ID" add-iam-policy-binding --member "serviceAccount:$PLATFORM" \
    --role roles/bigquery.dataEditor "$PROJECT_ID:features" >/dev/null
  echo "data set features"
fi

if [ -n "${KEY_FILE:-}" ] && [ ! -e "$KEY_FILE" ]; then
  (umask 077 && g iam service-accounts keys create "$KEY_FILE" --iam-account "$PLATFORM")
fi
