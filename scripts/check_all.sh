#!/bin/sh
# Every check in its long form, one after the other, however the ones before it
# ended: hours. What each printed is in build/check; a line tells how it went.
#
#   check_all.sh [NAME...]        only those (`make check-all` calls it)
#
# From the environment: FUZZ_TIME (seconds for each fuzzer, 300), MINUTES (of
# soak, 30), GEVENT_SPEC_REPEAT (100000).

set -u

export FUZZ_TIME="${FUZZ_TIME:-300}" MINUTES="${MINUTES:-30}"
repeat=${GEVENT_SPEC_REPEAT:-100000}
unset GEVENT_SPEC_REPEAT
make=${MAKE:-make}
wanted=" $* "
passed=0
failed=0
mkdir -p build/check

check() { # NAME COMMAND...
  name=$1
  shift
  case $wanted in '  ' | *" $name "*) ;; *) return ;; esac
  began=$(date +%s)
  "$@" >"build/check/$name.log" 2>&1
  status=$?
  seconds=$(($(date +%s) - began))
  if test $status -eq 0; then
    passed=$((passed + 1))
    echo "ok     $name, $seconds s"
  else
    failed=$((failed + 1))
    echo "FAILED $name, $seconds s, exit $status: build/check/$name.log"
  fi
  grep -E '^[0-9]+ (success|passed)|^lint: ' "build/check/$name.log" |
    sed 's/^/         /'
}

check lint "$make" lint
check analyze "$make" analyze
check test "$make" test
check asan "$make" asan
check tsan "$make" tsan
check gc "$make" gc
for row in 11_lua_out_of_memory 12_malloc_fails; do
  check $row env GEVENT_SPEC_MEMERR=all "$make" test SPEC=$row
done
check slope env GEVENT_SPEC_REPEAT="$repeat" "$make" test SPEC=spec/abuse
check fuzz "$make" fuzz
check valgrind "$make" valgrind
check soak "$make" soak

echo "$passed passed, $failed failed"
test $failed -eq 0 && test $passed -gt 0
