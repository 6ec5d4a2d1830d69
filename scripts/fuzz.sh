#!/bin/sh
# Runs each fuzzer of build/fuzz/bin for FUZZ_TIME seconds. What it finds of
# new inputs is kept in build/fuzz/corpus, crashes land in build/fuzz.

set -u

bad=0
for program in build/fuzz/bin/*; do
  test -x "$program" || continue
  name=${program##*/}
  test -e "spec/fuzz/$name.c" || continue
  found=build/fuzz/corpus/$name
  given=spec/fuzz/corpus/$name
  mkdir -p "$found"
  test -d "$given" || given=
  echo "== $name, ${FUZZ_TIME:-20} s"
  "$program" -max_total_time="${FUZZ_TIME:-20}" -timeout=10 \
    -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/$name-" "$found" ${given:+"$given"} \
    >"build/fuzz/$name.log" 2>&1
  status=$?
  if test $status -eq 0; then
    grep -E 'number_of_executed_units|^Done' "build/fuzz/$name.log"
    echo "ok $name"
  else
    tail -n 60 "build/fuzz/$name.log"
    echo "not ok $name (exit $status, build/fuzz/$name.log)"
    bad=1
  fi
done
exit $bad
