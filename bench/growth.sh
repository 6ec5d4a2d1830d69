#!/bin/sh
# bench/growth.sh - prints how the cost of an operation grows with the number
# of connections, greenlets, timers, header fields and places of a pool, and
# whether any total grows faster than n log n. See docs/benchmarks.md.
# usage: sh bench/growth.sh [-r ROUNDS] [-c CPU] [FIGURE...]
#   figures: echo spawn sleepers http_fields poolmap (all of them)
#   -r  rounds (3), of which the cheapest counts    -c  the CPU (the last one)
# The exit status is 1 if one of ours does.
cd "$(dirname "$0")/.." || exit 1
. bench/lib.sh

rounds=3 cpu=$(($(nproc --all) - 1))
while getopts r:c: option; do
  case $option in
    r) rounds=$OPTARG ;;
    c) cpu=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- echo spawn sleepers http_fields poolmap

# Both ends of 10,000 connections, and some files.
# shellcheck disable=SC3045  # dash, busybox and bash have them
{
  ulimit -n 10100 2>/dev/null || ulimit -n "$(ulimit -Hn)"
  files=$(ulimit -n)
}
[ "$files" != unlimited ] || files=10100
most=$((files > 10100 ? 10000 : files - 100))

pinned() { taskset -c "$cpu" "$@"; }

programs() {
  case $1 in
    echo) echo epoll gevent ;;
    spawn) echo lua gevent ;;
    sleepers | http_fields | poolmap) echo gevent ;;
    *) say "no figure $1"; exit 2 ;;
  esac
}

sizes() {
  case $1 in
    echo) for size in 1 10 64 100 1000 10000; do
        [ "$size" -ge "$most" ] || echo "$size"
      done
      echo "$most" ;;
    spawn | sleepers) echo 100 1000 10000 100000 1000000 ;;
    http_fields) echo 1 10 100 ;;
    poolmap) echo 1 10 100 1000 10000 ;;
  esac
}

# measure FIGURE PROGRAM SIZE: a line whose third word is nanoseconds.
measure() {
  : >"$work/log"
  case $1 in
    echo) start echo "$2" taskset -c "$cpu"
      # All of them at least five times.
      pinned "$load" -f "$1" -l "$2" -p "$server" -c "$3" -w $(($3 + 2000)) \
        -n $(($3 > 10000 ? $3 * 5 : 50000)) "$port" ;;
    http_fields) start http_hello "$2" taskset -c "$cpu"
      pinned "$load" -f "$1" -l "$2" -p "$server" -H / -k "$3" -n 20000 \
        "$port" ;;
    *) # shellcheck disable=SC2046
      pinned $(command_of growth "$2" "$1" "$3") 2>"$work/log" ;;
  esac
  status=$?
  stop
  return $status
}

failed=0
for figure in "$@"; do programs "$figure" >/dev/null; done
available gevent || { say "needs $(package gevent)"; exit 1; }
case " $* " in *" echo "*)
  [ "$most" -ge 10000 ] ||
    say "echo: $most connections at most, as ulimit -n allows $files files" ;;
esac
round=0
while [ $round -lt "$rounds" ]; do
  round=$((round + 1))
  for figure in "$@"; do
    for name in $(programs "$figure"); do
      for size in $(sizes "$figure"); do
        if measure "$figure" "$name" "$size" >"$work/line"; then
          echo "$figure $name $size $(cut -d ' ' -f 3 "$work/line")"
        else
          say "$figure $name $size: failed"
          tail -n 3 "$work/log" >&2
          failed=1
        fi
      done
    done
  done >>"$work/results"
done

# Whether n log n allows the costs c(n) of an operation: between any two sizes
# they may grow as log n, threefold for what no longer fits into the caches (it
# is what plain coroutines take). Of header fields it is those beyond the first
# that count: each request has one. log(1) is 0, hence n + 1.
echo "CPU $cpu, the cheapest of $rounds rounds; ratio to the smallest size"
awk '
  function judge(key, first,  i, j, n, ni, nj, ratio, worst) {
    n = sizes[key]
    for (i = first; i < n; i++) for (j = i + 1; j <= n; j++) {
      ni = size[key, i]; nj = size[key, j]
      ratio = cost(key, j, first) / cost(key, i, first) * \
        log(ni + 1) / log(nj + 1)
      if (ratio > worst) worst = ratio
    }
    return worst
  }
  function cost(key, i, first) {
    if (first == 1) return ns[key, size[key, i]]
    return (ns[key, size[key, i]] - ns[key, size[key, 1]]) / \
      (size[key, i] - size[key, 1])
  }
  { key = $1 " " $2
    if (!(key in sizes)) keys[++nkeys] = key
    if (!((key, $3) in ns)) size[key, ++sizes[key]] = $3
    if (!((key, $3) in ns) || $4 < ns[key, $3]) ns[key, $3] = $4 }
  END {
    printf "%-12s %-8s %9s %11s %7s\n",
      "figure", "program", "size", "ns per op", "ratio"
    for (k = 1; k <= nkeys; k++) {
      key = keys[k]; split(key, w, " ")
      for (i = 1; i <= sizes[key]; i++)
        printf "%-12s %-8s %9d %11.1f %7.2f\n", w[1], w[2], size[key, i],
          ns[key, size[key, i]], ns[key, size[key, i]] / ns[key, size[key, 1]]
      worst = judge(key, w[1] == "http_fields" ? 2 : 1)
      printf "%s: %s than n log n: at most %.2f times log n\n", key,
        (worst > 3 ? "FASTER" : "not faster"), worst
      if (worst > 3 && w[2] == "gevent") bad = 1
      last = ns[key, size[key, sizes[key]]]
      if ((key, 64) in ns)
        printf "%s: %d connections cost %.2f times what 64 do\n", key,
          size[key, sizes[key]], last / ns[key, 64]
      print ""
    }
    exit bad
  }' "$work/results" || failed=1
exit $failed
