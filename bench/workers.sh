#!/bin/sh
# Requests a second of one HTTP server under 1, 2, 4 ... workers, up to the
# cores that there are, once with one socket for all and once with one for each
# (SO_REUSEPORT).
# Needs wrk, which takes CPU time itself: on a machine of few cores look at the
# last column, the requests for each second of CPU time of the workers.
#
#   bench/workers.sh [SECONDS]        (from the top directory, after make)

set -eu

seconds=${1:-3}
cores=$(getconf _NPROCESSORS_ONLN)
ticks=$(getconf CLK_TCK)
work=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT

command -v wrk >/dev/null || { echo 'workers.sh: wrk is missing' >&2; exit 1; }
echo 'return function() return "hello" end' >"$work/app.lua"

# CPU time, in ticks, of the workers of a supervisor.
cpu() {
  cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //' |
    awk -v parent="$1" '$2 == parent { sum += $12 + $13 } END { print sum + 0 }'
}

# measure WORKERS [OPTION]
measure() {
  n=$1
  shift
  bin/gevent serve -b 127.0.0.1:0 -w "$n" "$@" "$work/app.lua" 2>"$work/log" &
  server=$!
  until url=$(grep -o 'http://[^ ]*/' "$work/log"); do
    kill -0 $server 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.05
  done
  before=$(cpu $server)
  wrk -t 2 -c 64 -d "$seconds" "$url" >"$work/wrk"
  used=$(($(cpu $server) - before))
  rate=$(awk '/^Requests\/sec/ { print $2 }' "$work/wrk")
  awk -v n="$n" -v how="${1:-shared}" -v rate="$rate" -v used="$used" \
    -v ticks="$ticks" -v seconds="$seconds" 'BEGIN {
      printf "%8d  %-14s %10.0f %16.0f\n", n, how, rate,
        rate * seconds / (used / ticks) }'
  kill $server
  wait $server || true
  server=
}

printf '%8s  %-14s %10s %16s\n' workers socket requests/s per-CPU-second
n=1
while test "$n" -le "$cores"; do
  measure "$n"
  test "$n" -eq 1 || measure "$n" --reuse-port
  n=$((n * 2))
done
