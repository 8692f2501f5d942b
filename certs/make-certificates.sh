#!/bin/bash
# Makes a CA and a serving certificate for the gate, ECDSA P-256, without cert-manager.
#   certs/make-certificates.sh DIRECTORY [DNS-NAME-OR-IP...]
# Writes ca.crt, tls.crt and tls.key. The CA's key is thrown away: nobody, we included, can sign with it again, so a
# renewal makes a new CA. Names default to that of the Service in manifests/base. DAYS (default 365) is the lifetime.
set -euo pipefail
directory=${1:?usage: make-certificates.sh DIRECTORY [DNS-NAME-OR-IP...]}
shift
(($#)) || set -- upgrade-gate.starrocks-upgrade-gate.svc
days=${DAYS:-365}

names=
for name in "$@"; do
  if [[ $name =~ ^[0-9.]+$ || $name == *:* ]]; then names+=,IP:$name; else names+=,DNS:$name; fi
done

umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

new_key "$work/ca.key"
openssl req -x509 -new -key "$work/ca.key" -days "$days" -subj "/CN=upgrade-gate-ca" \
  -addext "keyUsage=critical,keyCertSign,cRLSign" -out "$work/ca.crt"
new_key "$work/tls.key"
openssl req -new -key "$work/tls.key" -subj "/CN=upgrade-gate" -out "$work/tls.csr"
openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -days "$days" -out "$work/tls.crt" \
  -extfile <(printf '%s\n' "subjectAltName=${names#,}" "basicConstraints=critical,CA:FALSE" \
    "keyUsage=critical,digitalSignature" "extendedKeyUsage=serverAuth") 2>/dev/null
openssl verify -CAfile "$work/ca.crt" "$work/tls.crt" >/dev/null

mkdir -p "$directory"
# The key last: a server that sees the new certificate with the old key keeps what it has until the pair fits.
mv "$work/ca.crt" "$work/tls.crt" "$directory/"
mv "$work/tls.key" "$directory/"
