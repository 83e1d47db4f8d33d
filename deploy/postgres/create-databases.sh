#!/bin/sh
# A database and a user each for Airflow's metadata and Feast's registry. Postgres' images run it once, on an empty disk.
set -eu
export PGPASSWORD="${POSTGRES_PASSWORD:-}"
for name in airflow feast; do
  case $name in airflow) password=$AIRFLOW_DB_PASSWORD ;; feast) password=$FEAST_DB_PASSWORD ;; esac
  # The password goes in by standard input: an argument would be in the process list.
  psql --quiet --set ON_ERROR_STOP=1 --username postgres <<SQL
\\set password '$password'
CREATE USER $name PASSWORD :'password';
CREATE DATABASE $name OWNER $name;
SQL
done
