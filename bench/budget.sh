#!/bin/sh
# bench/budget.sh - checks the user-space instructions of our operations
# against those noted in bench/budget.txt, which hold for certain versions of
# what they run on: with others it says so and checks nothing, as where valgrind
# is missing. Prints `budget: FIGURE ok` or `budget: FIGURE FAILED` for each.
# usage: sh bench/budget.sh [FIGURE...]     (all that are noted)
# environment: UPDATE=1 notes the smallest of three tries, rather than check
# that the smallest of up to three is at most 3 % above what is noted.
cd "$(dirname "$0")/.." || exit 1

noted=bench/budget.txt
LUA=${LUA:-lua5.4}
known='switch spawn pingpong echo http_hello http_pipelined ws_echo'

if ! command -v valgrind >/dev/null; then
  echo 'SKIPPED: budget: valgrind is missing'
  exit 0
fi

versions() {
  echo "$("$LUA" -v 2>&1 | cut -d ' ' -f 1-2)," \
    "libuv $(pkg-config --modversion libuv 2>/dev/null)," \
    "OpenSSL $(pkg-config --modversion openssl 2>/dev/null)," \
    "$(getconf GNU_LIBC_VERSION 2>/dev/null)," \
    "cc $(${CC:-cc} -dumpfullversion 2>/dev/null)," \
    "$(valgrind --version), $(uname -m)"
}

# operations FIGURE: so many that a start-up which differs is little of it.
operations() {
  case $1 in
    switch | spawn | pingpong) echo 20000 ;;
    http_pipelined) echo 8000 ;;
    *) echo 2000 ;;
  esac
}

# One connection: how many are ready at once is a matter of time. Nothing
# where it fails.
instructions() {
  sh bench/instructions.sh -p gevent -c 1 -n "$(operations "$1")" "$1" |
    awk '$2 == "gevent" { print $3 }'
}

# smallest FIGURE LIMIT: of up to three tries, fewer if one is below the limit.
smallest() {
  least='' tries=0
  while [ $tries -lt 3 ]; do
    tries=$((tries + 1))
    found=$(instructions "$1")
    [ -n "$found" ] || continue
    [ "${least:-$found}" -lt "$found" ] || least=$found
    [ "$least" -gt "$2" ] || break
  done
  echo "$least"
}

budget_of() {
  awk -v figure="$1" '$1 == figure { print $2 }' $noted
}

update() {
  {
    echo "# User-space instructions per operation, one connection; written by"
    echo "# make budget UPDATE=1 with"
    echo "# $(versions)"
    for figure in $known; do
      least=$(smallest "$figure" 0)
      [ -n "$least" ] || return
      echo "$figure $least"
    done
  } >$noted.new && mv $noted.new $noted && cat $noted
}

check() {
  budget=$(budget_of "$1")
  least=$(smallest "$1" $((budget * 103 / 100)))
  printf '%-15s %7s instructions, noted %7s\n' "$1" "${least:-no}" "$budget"
  if [ -z "$least" ] || [ "$least" -gt $((budget * 103 / 100)) ]; then
    echo "budget: $1 FAILED"
    failed=1
    return
  fi
  [ "$least" -ge $((budget * 97 / 100)) ] ||
    echo "$1: more than 3 % below; UPDATE=1 notes it"
  echo "budget: $1 ok"
}

if [ -n "${UPDATE:-}" ]; then
  update
  exit
fi

was=$(sed -n '3s/^# //p' $noted) now=$(versions)
if [ "$was" != "$now" ]; then
  echo 'SKIPPED: budget: the instructions noted are those of other versions'
  echo "  noted: $was"
  echo "  here:  $now"
  exit 0
fi
failed=0
figures=${*:-$(awk '!/^#/ { print $1 }' $noted)}
for figure in $figures; do check "$figure"; done
exit $failed
