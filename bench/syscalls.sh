#!/bin/sh
# bench/syscalls.sh - prints the system calls of a server per operation in
# steady state, by strace: the difference of a run with N and one with 2 N.
# usage: sh bench/syscalls.sh [-n N] [-c CONNECTIONS] [-p PROGRAM=gevent]
#                             [FIGURE=echo]        (echo or http_hello)
cd "$(dirname "$0")/.." || exit 1
. bench/lib.sh

n=10000 connections=64 name=gevent
while getopts n:c:p: option; do
  case $option in
    n) n=$OPTARG ;;
    c) connections=$OPTARG ;;
    p) name=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
figure=${1:-echo} path=''
[ "$figure" = echo ] || path='-H /'
command -v strace >/dev/null || { say "needs strace"; exit 1; }
available "$name" || { say "$name: needs $(package "$name")"; exit 1; }

# counts N: "CALLS NAME" lines of a whole run with N operations.
counts() {
  start "$figure" "$name" strace -D -f -c -o "$work/strace"
  # shellcheck disable=SC2086
  "$load" -f "$figure" -l "$name" -c "$connections" -w 2000 -n "$1" $path \
    "$port" >"$work/line" || { tail -n 3 "$work/log" >&2; exit 1; }
  stop
  tries=250
  until grep -q total "$work/strace" || [ $tries -eq 0 ]; do
    sleep 0.02
    tries=$((tries - 1))
  done
  awk '$1 ~ /^[0-9]/ && $NF != "total" { print $4, $NF }' "$work/strace"
  rm "$work/strace"
}

counts "$n" >"$work/once"
counts $((2 * n)) >"$work/twice"
echo "$figure $name: system calls per operation, $connections connections"
awk -v n="$n" '
  NR == FNR { once[$2] = $1; next }
  { per = ($1 - once[$2]) / n
    if (per >= 0.0005 || per <= -0.0005) printf "%-18s %8.3f\n", $2, per }
' "$work/once" "$work/twice" | sort -k2,2 -rn
