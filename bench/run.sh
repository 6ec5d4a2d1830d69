#!/bin/sh
# bench/run.sh - prints one table: CPU time per operation and memory per
# blocked greenlet, ours beside the peers'. See docs/benchmarks.md.
# usage: sh bench/run.sh [-r ROUNDS] [-c CPU] [-p PROGRAM] [-o FILE] [-v]
#                        [FIGURE...]     (all of bench/figures.sh)
#   -r  rounds (3); each runs every program once    -c  the CPU (the last one)
#   -p  only this program and the denominators      -v  each result as it comes
#   -o  the table into that file as well, below the versions of all programs
cd "$(dirname "$0")/.." || exit 1
. bench/lib.sh
. bench/figures.sh

rounds=3 cpu=$(($(nproc --all) - 1)) only='' verbose='' file=''
line="bench/run.sh${*:+ $*}"
while getopts r:c:p:o:v option; do
  case $option in
    r) rounds=$OPTARG ;;
    c) cpu=$OPTARG ;;
    p) only=$OPTARG ;;
    o) file=$OPTARG ;;
    v) verbose=1 ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
figures=${*:-$all_figures}

# wanted FIGURE: those of its programs that -p leaves.
wanted() {
  first=''
  for p in $(programs "$1"); do
    case $p in "${first:=$p}" | "${only:-$p}" | "${only:-$p}"-*) echo "$p" ;;
    esac
  done
}

# present FIGURE: those of them that this machine has.
present() {
  for p in $(wanted "$1"); do
    case "${skipped:-}" in *" $p "*) ;; *) echo "$p" ;; esac
  done
}

pinned() { taskset -c "$cpu" "$@"; }

# serve FIGURE NAME: the server, until it listens.
serve() {
  start "$1" "$2" taskset -c "$cpu"
  case $1 in echo) set -- ;; *) set -- -H / ;; esac
  "$load" -n 64 -w 0 "$@" "$port" >/dev/null
}

# loaded FIGURE NAME: the line of a program that serves.
loaded() {
  case $1 in echo64k) server_args=65536 ;; *) server_args='' ;; esac
  case $1 in tls_*) generator=$tls_load ;; *) generator=$load ;; esac
  start "$(program_of "$1" "$2")" "$2" taskset -c "$cpu"
  # shellcheck disable=SC2046
  pinned "$generator" -f "$1" -l "$2" -p "$server" -n "$n" \
    $(options "$1" "$n") "$port"
}

# alone FIGURE NAME: the line of a program that measures itself, and after it
# what the kernel says of its CPU time: `times` twice.
alone() {
  case $1-$2 in
    http_client-*) serve http_hello gevent || return
      set -- http_client "$2" "$n" "$port" ;;
    luasocket-*) serve echo epoll || return
      case $2 in luasocket) mode=plain ;; *-*) mode=${2#*-} ;; *) mode=1 ;; esac
      set -- luasocket "$2" "$n" "$port" "$mode" ;;
    recv-gevent-* | spawn-gevent-*) set -- "$1" "$2" "$n" "${2#gevent-}" ;;
    switch1-*) set -- switch "$2" "$n" 1 ;;
    switch-*) set -- switch "$2" "$n" 2 ;;
    *) set -- "$1" "$2" "$n" ;;
  esac
  program=$(command_of "$@")
  times >"$work/times"
  # shellcheck disable=SC2086
  pinned $program 2>"$work/log" || return
  times >>"$work/times"
}

# run_one FIGURE NAME: its line, with user= and system= unless it is of bytes.
run_one() {
  n=$(count "$1" "$2")
  : >"$work/times"
  case $1 in
    echo* | churn | idle | ws_echo | tls_*) loaded "$1" "$2" ;;
    http_client) alone "$1" "$2" ;;
    http_*) loaded "$1" "$2" ;;
    *) alone "$1" "$2" ;;
  esac >"$work/line" || return
  [ "$(unit "$1")" = ns ] && [ -s "$work/times" ] || return 0
  # The times of this shell's children are the second and the fourth line.
  awk 'function seconds(t,  w) { split(t, w, /[ms]/); return w[1] * 60 + w[2] }
    NR == FNR { if (FNR % 2 == 0) {
        user = seconds($1) - user; kernel = seconds($2) - kernel }
      next }
    { all = user + kernel
      if (all > 0) $0 = $0 sprintf(" user=%.1f system=%.1f",
        $3 * user / all, $3 * kernel / all)
      print }' "$work/times" "$work/line" >"$work/split"
  mv "$work/split" "$work/line"
}

# build_peers FIGURE: the certificate, and the Go programs.
build_peers() {
  case $1 in tls_*) make_tls || return ;; esac
  for name in $(present "$1"); do
    case $name in
      go | gorilla) program=${name}_$(program_of "$1" "$name")
        build_go "bench/peers/$program.go" "$out/$program" || return ;;
    esac
  done
}

for figure in $figures; do programs "$figure" >/dev/null; done
failed=0
for name in $(for f in $figures; do wanted "$f"; done | sort -u); do
  if ! available "$name"; then
    case $name in
      gevent-*) ;;  # said once
      *) say "$name: skipped (needs $(package "$name"))" ;;
    esac
    skipped="${skipped:-} $name "
  fi
done
for figure in $figures; do build_peers "$figure" || exit 1; done

round=0
while [ $round -lt "$rounds" ]; do
  round=$((round + 1))
  for figure in $figures; do
    for name in $(present "$figure"); do
      : >"$work/log"
      if run_one "$figure" "$name"; then
        sed "s/^/$round $(unit "$figure") /" "$work/line" >>"$work/results"
        [ -z "$verbose" ] || cat "$work/line" >&2
      else
        say "$figure $name: failed"
        tail -n 3 "$work/log" >&2
        failed=1
      fi
      stop
    done
  done
done
[ -e "$work/results" ] || exit 1

# The denominator is the first program of a figure; ratios are taken round by
# round, and the median of them is printed.
table() {
  echo "CPU $cpu, $rounds rounds: medians; ratio to the first line of a figure"
  awk '
  function median(a, n,  i, j, t) {
    for (i = 2; i <= n; i++)
      for (j = i; j > 1 && a[j - 1] > a[j]; j--) {
        t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
      }
    return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
  }
  # The median of what the rounds said of that, as text; "-" for nothing.
  function middle(what, key, scale,  r, n, v) {
    for (r = 1; r <= rounds; r++)
      if ((r, key, what) in value) v[++n] = value[r, key, what]
    return n ? sprintf("%.1f", median(v, n) / scale) : "-"
  }
  { key = $3 " " $4
    if (!(key in seen)) { seen[key] = 1; keys[++nkeys] = key; unit[key] = $2 }
    if (!($3 in base)) base[$3] = key
    value[$1, key, "per"] = $5
    for (i = 7; i <= NF; i++)
      if (split($i, w, "=") == 2) value[$1, key, w[1]] = w[2]
    if ($1 > rounds) rounds = $1 }
  END {
    form = "%-14s %-13s %11s %-5s %10s %10s %7s %7s %9s %9s\n"
    printf form, "figure", "program", "per op", "", "user", "system", "ratio",
      "spread", "p50 us", "p99 us"
    for (k = 1; k <= nkeys; k++) {
      key = keys[k]; split(key, w, " "); n = m = 0
      if (k > 1 && w[1] != last) print ""
      last = w[1]
      for (r = 1; r <= rounds; r++) if ((r, key, "per") in value) {
        v[++n] = value[r, key, "per"]
        if ((r, base[w[1]], "per") in value)
          q[++m] = v[n] / value[r, base[w[1]], "per"]
      }
      mid = median(v, n)
      printf form, w[1], w[2], sprintf("%.1f", mid), unit[key],
        middle("user", key, 1), middle("system", key, 1),
        m ? sprintf("%.2f", median(q, m)) : "-",
        sprintf("%.1f%%", mid > 0 ? (v[n] - v[1]) / mid * 100 : 0),
        middle("p50", key, 1000), middle("p99", key, 1000)
    }
  }' "$work/results"
}

heading() {
  echo "$line"
  echo "$(date -u +%Y-%m-%d), $(uname -sr), $(nproc --all) CPUs:" \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
  for name in libraries $(for f in $figures; do present "$f"; done | sort -u)
  do
    version "$name" 2>/dev/null | sed "s/^/$name: /"
  done
  echo
}

table
[ -z "$file" ] || { heading && table; } >"$file"
exit $failed
