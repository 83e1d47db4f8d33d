#!/usr/bin/env bash
# Puts project and registry into the manifests, the charts' values and the settings: deploy/rendered/, recreated.
#
#   PROJECT_ID=my-project [REGION=europe-west1] [REGISTRY=host/path] [INTO=folder] deploy/gcp/render.sh
set -euo pipefail
: "${PROJECT_ID:?the Google Cloud project}"
REGION=${REGION:-europe-west1}
REGISTRY=${REGISTRY:-$REGION-docker.pkg.dev/$PROJECT_ID/provender}
deploy=$(cd "$(dirname "$0")/.." && pwd)
INTO=${INTO:-$deploy/rendered}

rm -rf "$INTO"
mkdir -p "$INTO"
cp -R "$deploy/kubernetes" "$deploy/monitoring" "$deploy/postgres" "$deploy/values" "$INTO"
grep -rlE 'PROJECT_ID|REGISTRY/' "$INTO" | while read -r file; do
  sed -i.bak -e "s|PROJECT_ID|$PROJECT_ID|g" -e "s|REGISTRY/|$REGISTRY/|g" "$file" && rm "$file.bak"
done
echo "rendered for $PROJECT_ID into $INTO"
