#!/usr/bin/env bash
# The cluster's secrets, from the environment. Run it again after a value changed, then restart what reads it.
#
#   set -a; . ./.env; set +a        # the lines of deploy/compose/env.example
#   deploy/gcp/secrets.sh
#
# Besides: REGISTRY_KEY_FILE=key.json (pull from a registry outside the project), GOOGLE_KEY_FILE=key.json (instead of
# workload identity), KUBEFLOW=1 (the key for Kubeflow's steps too). Values go to kubectl by standard input: they are
# neither printed nor arguments, which a process list would show.
set -euo pipefail

POSTGRES=postgres.provender.svc.cluster.local:5432
REDIS=redis-master.provender.svc.cluster.local:6379

problems=0
for name in POSTGRES_PASSWORD AIRFLOW_DB_PASSWORD FEAST_DB_PASSWORD REDIS_PASSWORD AIRFLOW_JWT_SECRET \
  AIRFLOW_API_SECRET GRAFANA_PASSWORD; do
  if [[ ! ${!name:-} =~ ^[A-Za-z0-9_-]{16,}$ ]]; then
    echo "$name: needs 16 letters and digits or more (it stands in URLs): openssl rand -hex 24" >&2
    problems=1
  fi
done
if [[ ! ${AIRFLOW_FERNET_KEY:-} =~ ^[A-Za-z0-9_-]{43}=$ ]]; then
  echo "AIRFLOW_FERNET_KEY: needs 32 bytes in base64: openssl rand -base64 32 | tr '+/' '-_'" >&2
  problems=1
fi
if [ $problems != 0 ]; then
  echo "nothing was changed" >&2
  exit 1
fi

apply() { # NAMESPACE NAME OPTIONS…; what the options read from standard input
  kubectl create secret generic "$2" --namespace "$1" "${@:3}" --dry-run=client --output yaml |
    kubectl apply --server-side --force-conflicts --filename - >/dev/null
  echo "secret $1/$2"
}

secret() { # NAMESPACE NAME; lines KEY=VALUE from standard input
  apply "$1" "$2" --from-env-file=/dev/stdin
}

secret provender postgres <<<"postgres-password=$POSTGRES_PASSWORD"
secret provender postgres-users <<END
AIRFLOW_DB_PASSWORD=$AIRFLOW_DB_PASSWORD
FEAST_DB_PASSWORD=$FEAST_DB_PASSWORD
END
secret provender redis <<<"redis-password=$REDIS_PASSWORD"
secret provender airflow-database <<<"connection=postgresql+psycopg2://airflow:$AIRFLOW_DB_PASSWORD@$POSTGRES/airflow"
secret provender airflow-broker <<<"connection=rediss://:$REDIS_PASSWORD@$REDIS/1?ssl_cert_reqs=required"
secret provender airflow-keys <<END
fernet-key=$AIRFLOW_FERNET_KEY
api-secret-key=$AIRFLOW_API_SECRET
jwt-secret=$AIRFLOW_JWT_SECRET
END
secret provender grafana <<END
admin-user=admin
admin-password=$GRAFANA_PASSWORD
END
# Workers and Feast's servers, and the drivers that resolve a training set's features.
for namespace in provender provender-spark; do
  secret "$namespace" feast-registry <<<"url=postgresql+psycopg://feast:$FEAST_DB_PASSWORD@$POSTGRES/feast"
done
for namespace in provender provender-spark provender-models; do
  secret "$namespace" feast-redis <<<"connection_string=$REDIS,ssl=true,password=$REDIS_PASSWORD"
done

if [ -n "${REGISTRY_KEY_FILE:-}" ]; then
  host=${REGISTRY_HOST:-europe-west1-docker.pkg.dev}
  for namespace in provender provender-spark provender-models; do
    auth=$({ printf '_json_key:'; cat "$REGISTRY_KEY_FILE"; } | base64 | tr -d '\n')
    printf '{"auths":{"%s":{"auth":"%s"}}}' "$host" "$auth" |
      apply "$namespace" registry-pull --type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson=/dev/stdin
  done
fi

if [ -n "${GOOGLE_KEY_FILE:-}" ]; then
  for namespace in provender provender-spark ${KUBEFLOW:+kubeflow}; do
    apply "$namespace" user-gcp-sa --from-file=key.json="$GOOGLE_KEY_FILE" </dev/null
  done
fi
