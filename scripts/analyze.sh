#!/bin/sh
# Static analysis of the C by clang-tidy: its analyser, which follows what a
# function may do, and its checks for slips. Takes minutes.
#
#   analyze.sh FILE... -- COMPILER-FLAG...     (`make analyze` calls it)
#
# What is known not to be so stands in analyze.supp.

set -u

checks='-*,clang-analyzer-*,bugprone-*,misc-redundant-expression'
# Style rather than slips, or wrong about what C programs do all day.
for name in \
  bugprone-assignment-in-if-condition bugprone-easily-swappable-parameters \
  bugprone-implicit-widening-of-multiplication-result \
  bugprone-macro-parentheses bugprone-narrowing-conversions \
  bugprone-not-null-terminated-result bugprone-reserved-identifier \
  bugprone-sizeof-expression bugprone-suspicious-string-compare \
  clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling; do
  checks="$checks,-$name"
done

files=
while test $# -gt 0 && test "$1" != --; do
  files="$files $1"
  shift
done
shift

out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
for file in $files; do echo "$file"; done |
  xargs -P "$(nproc 2>/dev/null || echo 2)" -I '{}' \
    clang-tidy --quiet --checks="$checks" '{}' -- \
    "$@" -include scripts/analyze.h >"$out" 2>/dev/null

place="^.*(csrc/[^:]*):[0-9]+:[0-9]+"
pattern="s#$place: (warning|error): .*[[]([^],]*).*[]]\$#\1 \3#p"
# FILE CHECK of each finding that is not a known one.
new=$(sed -nE "$pattern" \
  "$out" | sort -u | grep -vxF "$(grep "^csrc" scripts/analyze.supp)")
if test -z "$new"; then
  echo "lint: clang-tidy ok"
  exit 0
fi
cat "$out"
echo "$new"
echo 'lint: clang-tidy FAILED'
exit 1
