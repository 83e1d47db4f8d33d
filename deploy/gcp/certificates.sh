#!/usr/bin/env bash
# TLS inside the cluster: an authority of your own, and certificates of it for Redis and Postgres. Run it again to renew
# the certificates (they last a year); the authority stays. With cert-manager or managed stores, leave it out.
#
#   [CA_FOLDER=folder] deploy/gcp/certificates.sh
#
# The authority's key stays in CA_FOLDER: keep that folder, and give it to nobody. Its certificate goes to
# deploy/images/certificates, where the images take it from: run this before they are built.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
CA_FOLDER=${CA_FOLDER:-$root/.provender/ca}
TRUSTED=${TRUSTED:-$root/deploy/images/certificates}
umask 077
mkdir -p "$CA_FOLDER"

if [ ! -e "$CA_FOLDER/ca.key" ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 3650 -subj "/CN=provender" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$CA_FOLDER/ca.key" -out "$CA_FOLDER/ca.crt" 2>/dev/null
fi
(umask 022 && cp "$CA_FOLDER/ca.crt" "$TRUSTED/provender.crt")
echo "authority $TRUSTED/provender.crt"

certificate() { # SECRET HOST: a certificate for the service HOST of the platform's namespace, under all its names
  local folder names
  folder=$(mktemp -d)
  names=DNS:$2,DNS:$2.provender,DNS:$2.provender.svc,DNS:$2.provender.svc.cluster.local,DNS:localhost,IP:127.0.0.1
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -subj "/CN=$2" -keyout "$folder/tls.key" -out "$folder/request" 2>/dev/null
  openssl x509 -req -in "$folder/request" -CA "$CA_FOLDER/ca.crt" -CAkey "$CA_FOLDER/ca.key" -CAcreateserial -sha256 \
    -days 365 -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$names") \
    -out "$folder/tls.crt" 2>/dev/null
  kubectl create secret generic "$1" --namespace provender --from-file=ca.crt="$CA_FOLDER/ca.crt" \
    --from-file=tls.crt="$folder/tls.crt" --from-file=tls.key="$folder/tls.key" --dry-run=client --output yaml |
    kubectl apply --server-side --force-conflicts --filename - >/dev/null
  rm -rf "$folder"
  echo "secret provender/$1"
}

certificate redis-tls redis-master
certificate postgres-tls postgres
