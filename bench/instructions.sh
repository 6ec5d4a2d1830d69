#!/bin/sh
# bench/instructions.sh - prints user-space instructions per operation, counted
# by callgrind: the difference of a run with N and one with 2 N operations.
# usage: sh bench/instructions.sh [-n N] [-c CONNECTIONS] [-p PROGRAM]
#                                 [FIGURE...]
#   figures: switch echo http_hello, and if asked for: spawn pingpong
#            http_pipelined ws_echo
cd "$(dirname "$0")/.." || exit 1
. bench/lib.sh
. bench/figures.sh

n=10000 connections=64 only=''
while getopts n:c:p: option; do
  case $option in
    n) n=$OPTARG ;;
    c) connections=$OPTARG ;;
    p) only=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
command -v valgrind >/dev/null || { say "needs valgrind"; exit 1; }

# A run is like the one before only if its addresses and its time are: Lua
# seeds its hashes with both, and an environment moves the stack.
build_c bench/still.c $out/still.so -shared -fPIC || exit 1
LUA=$(command -v "$LUA")
count="env -i LUA_PATH_5_4=$LUA_PATH_5_4 LUA_CPATH_5_4=$LUA_CPATH_5_4
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  LD_PRELOAD=$out/still.so"
if setarch -R true 2>/dev/null; then count="$count setarch -R"; fi
count="$count valgrind --tool=callgrind --callgrind-out-file=/dev/null
  --log-file=$work/callgrind"

counted() {
  case $1 in
    switch) echo lua gevent cqueues luv ;;
    spawn) echo lua gevent cqueues ;;
    pingpong) echo gevent ;;
    echo) echo epoll gevent luv cqueues ;;
    http_hello | http_pipelined) echo nginxlua gevent nginx luv ;;
    ws_echo) echo gevent ;;
    *) say "no figure $1"; exit 2 ;;
  esac
}

# total FIGURE NAME N: instructions of a whole run with N operations; nothing
# where it fails. Called in a subshell, so it stops its own server.
# shellcheck disable=SC2046,SC2086
total() {
  case $1 in
    switch) $count $(command_of "$1" "$2" "$3" 2) >"$work/log" 2>&1 || return ;;
    spawn | pingpong) $count $(command_of "$1" "$2" "$3") >"$work/log" 2>&1 ||
      return ;;
    *) start "$(program_of "$1" "$2")" "$2" $count
      "$load" -f "$1" -l "$2" -p "$server" -c "$connections" -w 1000 -n "$3" \
        -L $(options "$1" "$3") "$port" >"$work/line"
      status=$?
      stop
      [ $status -eq 0 ] || return ;;
  esac
  awk '/Collected/ { print $4 }' "$work/callgrind"
}

failed=0
echo "user-space instructions per operation, $connections connections"
[ $# -gt 0 ] || set -- switch echo http_hello
for figure in "$@"; do counted "$figure" >/dev/null; done
for figure in "$@"; do
  for name in $(counted "$figure"); do
    [ "${only:-$name}" = "$name" ] || continue
    available "$name" || { say "$name: skipped (needs $(package "$name"))"
      continue; }
    once=$(total "$figure" "$name" "$n")
    twice=$(total "$figure" "$name" $((2 * n)))
    if [ -n "$once" ] && [ -n "$twice" ]; then
      printf '%-11s %-13s %9d\n' "$figure" "$name" $(((twice - once) / n))
    else
      say "$figure $name: failed"
      tail -n 3 "$work/log" >&2
      failed=1
    fi
  done
done
exit $failed
