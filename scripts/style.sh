#!/bin/sh
# The rules of the house that no compiler checks. Prints what breaks them.
#
# C and shell: 80 columns; Lua: 100. No file of 550 lines or more, no tab, no
# blank at the end of a line, no CR, and no note of work left undone.

set -u

MAX_LINES=549
# Put together, so that this file does not break its own rule.
UNDONE='TO''DO|FIX''ME|XX''X'

sources() { # NAME-PATTERN...
  for pattern in "$@"; do
    find csrc lua spec examples bench scripts .ci \
      -type f -name "$pattern" 2>/dev/null
  done | sort
}

# too_wide COLUMNS FILE
too_wide() {
  awk -v max="$1" 'length($0) > max { print FILENAME ":" FNR }' "$2"
}

check() { # FILE
  case $1 in
    *.lua) columns=100 ;;
    *) columns=80 ;;
  esac
  too_wide $columns "$1" | sed "s/\$/: wider than $columns columns/"
  lines=$(wc -l <"$1")
  test "$lines" -le $MAX_LINES || echo "$1: $((lines)) lines, split it"
  awk '/\t/ { print FILENAME ":" FNR ": tab" }
    /[ \r]$/ { print FILENAME ":" FNR ": blank or CR at the end" }' "$1"
  grep -nwE "$UNDONE" "$1" | sed "s|^|$1:|; s|\$| <- left undone|"
}

report=$(sources '*.c' '*.h' '*.lua' '*.sh' run |
  while read -r file; do check "$file"; done)
test -z "$report" && exit 0
echo "$report"
exit 1
