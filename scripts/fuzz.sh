#!/bin/sh
# Runs each fuzzer of build/fuzz/bin (FUZZ: those of that name only) for
# FUZZ_TIME seconds, as many at a time as there are processors. What it finds of
# new inputs is kept in build/fuzz/corpus, crashes land in build/fuzz. With
# FUZZ_SEED, a number, two runs try the same, as far as either comes.

set -u

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
# For those in Lua: the library's Lua half; its C is linked in.
export LUA_PATH='lua/?.lua;lua/?/init.lua;;' FUZZ_DIR="$dir"
export UBSAN_OPTIONS=print_stacktrace=1

# A Lua state lives as long as the process, and grows before it shrinks. Leak
# detection needs ptrace, which some containers forbid.
leaks_of() { # PROGRAM
  name=${1##*/}
  if test -e "spec/fuzz/$name.c" &&
    ! "$1" -runs=1 2>&1 | grep -q 'LeakSanitizer has encountered'; then
    echo 1
  else
    echo 0
  fi
}

run() { # PROGRAM
  name=${1##*/}
  found=build/fuzz/corpus/$name
  given=spec/fuzz/corpus/$name
  log=build/fuzz/$name.log
  leaks=$(leaks_of "$1")
  mkdir -p "$found"
  test -d "$given" || given=
  ASAN_OPTIONS=detect_leaks=$leaks "$1" -detect_leaks="$leaks" \
    -seed="${FUZZ_SEED:-0}" \
    -max_total_time="${FUZZ_TIME:-20}" -timeout=60 -rss_limit_mb=1500 \
    -print_final_stats=1 -artifact_prefix="build/fuzz/$name-" \
    "$found" ${given:+"$given"} >"$log" 2>&1
  echo $? >"$dir/$name.status"
}

report() { # PROGRAM
  name=${1##*/}
  status=$(cat "$dir/$name.status" 2>/dev/null || echo none)
  if test "$status" = 0; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' \
      "build/fuzz/$name.log")
    echo "ok $name, $runs inputs"
    return 0
  fi
  tail -n 60 "build/fuzz/$name.log"
  echo "not ok $name (exit $status, build/fuzz/$name.log)"
  return 1
}

programs=
for program in build/fuzz/bin/*_fuzz; do
  name=${program##*/}
  case " ${FUZZ:-$name} " in *" $name "*) ;; *) continue ;; esac
  if test -e "spec/fuzz/$name.c" || test -e "spec/fuzz/lua/${name%_fuzz}.lua"
  then
    programs="$programs $program"
  fi
done

at_once=$(nproc 2>/dev/null || echo 2)
running=0
for program in $programs; do
  run "$program" &
  running=$((running + 1))
  if test $running -ge "$at_once"; then
    wait
    running=0
  fi
done
wait

passed=0
failed=0
for program in $programs; do
  if report "$program"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed"
test "$failed" -eq 0 && test "$passed" -gt 0
