#!/bin/sh
# Runs what uses threads under ThreadSanitizer: build/tsan/host/states, many Lua
# states with a hub each.

set -u

export LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='build/tsan/?.so;;'
export TSAN_OPTIONS=suppressions=scripts/tsan.supp:history_size=4
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

states() { # PREFIX...
  "$@" build/tsan/host/states 8 5 spec/host/states.lua >"$log" 2>&1
  status=$?
  cat "$log"
}

# Where the kernel spreads addresses more than this version of it knows, it runs
# only without that, if that may be asked for.
is_lost() {
  grep -q 'FATAL: ThreadSanitizer: unexpected memory mapping' "$log"
}

states env
if is_lost; then states setarch -R; fi
if is_lost || grep -q '^setarch: ' "$log"; then
  echo 'SKIPPED: ThreadSanitizer does not work here'
elif test $status -eq 0; then
  echo '1 passed, 0 failed'
else
  echo '0 passed, 1 failed'
  exit 1
fi
