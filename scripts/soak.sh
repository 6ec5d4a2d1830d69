#!/bin/sh
# Runs spec/soak/soak.lua for MINUTES=1, with few descriptors. With TLS where
# there is an openssl to make a certificate.

set -u

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
if openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
  -keyout "$dir/key" -out "$dir/cert" -subj /CN=localhost -days 30 \
  -addext subjectAltName=DNS:localhost 2>/dev/null; then
  export SOAK_CERT="$dir/cert" SOAK_KEY="$dir/key"
fi
ulimit -n 300
${LUA:-$(command -v lua5.4 || echo lua)} spec/soak/soak.lua \
  "$(awk "BEGIN { print 60 * ${MINUTES:-1} }")"
