#!/bin/sh
# bench/run.sh - prints one table: CPU time per operation and memory per
# blocked greenlet, ours beside the peers'. See docs/benchmarks.md.
# usage: sh bench/run.sh [-r ROUNDS] [-c CPU] [-p PROGRAM] [-v] [FIGURE...]
#   figures: switch switch1 spawn memory pingpong event semaphore timeout
#            poolmap echo echo64k churn idle recv http_hello http_pipelined
#            http_close http_json http_static ws_echo http_client tls_full
#            tls_resumed tls_bulk
#            (all of them)
#   -r  rounds (3); each runs every program once    -c  the CPU (the last one)
#   -p  only this program and the denominators      -v  each result as it comes
cd "$(dirname "$0")/.." || exit 1
. bench/lib.sh

rounds=3 cpu=$(($(nproc --all) - 1)) only='' verbose=''
while getopts r:c:p:v option; do
  case $option in
    r) rounds=$OPTARG ;;
    c) cpu=$OPTARG ;;
    p) only=$OPTARG ;;
    v) verbose=1 ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- switch switch1 spawn memory pingpong event semaphore \
  timeout poolmap echo echo64k churn idle recv http_hello http_pipelined \
  http_close http_json http_static ws_echo http_client tls_full tls_resumed \
  tls_bulk
figures=$*

# programs FIGURE: the denominator first.
programs() {
  case $1 in
    switch | switch1) echo lua gevent cqueues luv pygevent tarantool go ;;
    spawn) echo lua gevent gevent-main gevent-all gevent-raw cqueues pygevent \
      tarantool go ;;
    memory) echo lua gevent cqueues pygevent tarantool go ;;
    pingpong) echo tarantool gevent pygevent go ;;
    event | poolmap) echo go gevent pygevent ;;
    semaphore) echo go gevent pygevent tarantool ;;
    timeout) echo lua gevent pygevent go ;;
    echo) echo epoll gevent luv cqueues pygevent tarantool go ;;
    echo64k) echo epoll gevent go ;;
    churn | idle) echo go gevent pygevent ;;
    recv) echo gevent gevent-timeout ;;
    http_hello) echo nginxlua gevent nginx luv go luahttp pygevent ;;
    http_pipelined) echo nginxlua gevent nginx go ;;
    http_close) echo go gevent nginxlua nginx ;;
    http_json) echo go gevent ;;
    http_static) echo nginx gevent go ;;
    ws_echo) echo gorilla gevent node pyws ;;
    http_client) echo go gevent ;;
    tls_full | tls_resumed) echo openssl gevent nginx go pygevent ;;
    tls_bulk) echo nginx gevent openssl go pygevent ;;
    *) say "no figure $1"; exit 2 ;;
  esac
}

# server_of FIGURE: the one whose programs serve it.
server_of() {
  case $1 in
    http_pipelined | http_close) echo http_hello ;;
    echo64k | idle) echo echo ;;
    tls_*) echo https ;;
    *) echo "$1" ;;
  esac
}

# options FIGURE: what the load generator is to do.
options() {
  case $1 in
    echo) ;;
    echo64k) echo -c 16 -s 65536 ;;
    churn) echo -A ;;
    idle) echo -c "$n" -M ;;
    http_pipelined) echo -H / -d 16 ;;
    http_close) echo -H / -1 ;;
    http_json) echo -H /users/42 ;;
    http_static) echo -H /file.txt ;;
    tls_full) ;;
    tls_resumed) echo -r ;;
    tls_bulk) echo -b "/$tls_file" ;;
    *) echo -H / ;;
  esac
}

# wanted FIGURE: those of its programs that -p leaves.
wanted() {
  first=''
  for p in $(programs "$1"); do
    case $p in "${first:=$p}" | "${only:-$p}" | "${only:-$p}"-*) echo "$p" ;;
    esac
  done
}

# count FIGURE NAME: operations of a run, so that it takes about half a second.
count() {
  case $1-$2 in
    switch*-go) echo 5000000 ;;
    switch*-cqueues | switch*-pygevent) echo 300000 ;;
    switch*) echo 2000000 ;;
    spawn-cqueues | spawn-pygevent) echo 50000 ;;
    spawn*) echo 500000 ;;
    memory-tarantool) echo 20000 ;;
    memory*) echo 100000 ;;
    pingpong-pygevent | event-pygevent) echo 50000 ;;
    pingpong-go | event-go) echo 2000000 ;;
    pingpong* | event*) echo 500000 ;;
    semaphore-pygevent) echo 100000 ;;
    semaphore-go) echo 4000000 ;;
    semaphore*) echo 1000000 ;;
    timeout-pygevent) echo 200000 ;;
    timeout-lua | timeout-go) echo 5000000 ;;
    timeout*) echo 3000000 ;;
    poolmap-pygevent) echo 20000 ;;
    poolmap-go) echo 1000000 ;;
    poolmap*) echo 300000 ;;
    echo-cqueues | echo-pygevent) echo 50000 ;;
    echo64k*) echo 20000 ;;
    churn-pygevent) echo 5000 ;;
    churn*) echo 30000 ;;
    idle*) echo 5000 ;;
    recv*) echo 100000 ;;
    echo*) echo 100000 ;;
    http_pipelined-*) echo 200000 ;;
    http_close-*) echo 20000 ;;
    http_hello-luahttp | http_hello-pygevent) echo 5000 ;;
    http_hello* | http_json* | http_static*) echo 50000 ;;
    ws_echo-pyws) echo 10000 ;;
    ws_echo*) echo 100000 ;;
    http_client*) echo 20000 ;;
    tls_bulk*) echo 1000 ;;
    tls*) echo 1500 ;;
  esac
}

pinned() { taskset -c "$cpu" "$@"; }

# run_one FIGURE NAME: its line.
run_one() {
  n=$(count "$1" "$2")
  server_args=
  case $1-$2 in
    http_client-*) start http_hello gevent taskset -c "$cpu"
      "$load" -n 64 -w 0 -H / "$port" >/dev/null || return  # it listens
      set -- "$1" "$2" "$n" "$port" ;;
    recv-gevent-*) set -- recv gevent "$n" "${2#gevent-}" ;;
    echo-* | echo64k-* | churn-* | idle-* | http_* | tls_*)
      case $1 in echo64k) server_args=65536 ;; esac
      start "$(server_of "$1")" "$2" taskset -c "$cpu"
      case $1 in tls_*) generator=$tls_load ;; *) generator=$load ;; esac
      # shellcheck disable=SC2046
      pinned "$generator" -f "$1" -l "$2" -p "$server" -n "$n" \
        $(options "$1") "$port"
      return ;;
    ws_echo-*) start "$1" "$2" taskset -c "$cpu"
      pinned "$load" -f "$1" -l "$2" -p "$server" -n "$n" -W "$port"
      return ;;
    switch1-*) set -- switch "$2" "$n" 1 ;;
    switch-*) set -- switch "$2" "$n" 2 ;;
    spawn-gevent-*) set -- spawn "$2" "$n" "${2#gevent-}" ;;
    *) set -- "$1" "$2" "$n" ;;
  esac
  # shellcheck disable=SC2046
  pinned $(command_of "$@") 2>"$work/log"
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
for figure in $figures; do
  case $figure in tls_*) make_tls || exit 1 ;; esac
  program=go_$(server_of "${figure%1}")
  case " $(wanted "$figure" | tr '\n' ' ')/${skipped:-}" in
    */*" go "*) ;;  # skipped
    *" go "*) build_go "bench/peers/$program.go" "$out/$program" ||
      exit 1 ;;
  esac
  case " $(wanted "$figure" | tr '\n' ' ')/${skipped:-}" in
    */*" gorilla "*) ;;  # skipped
    *" gorilla "*) program=gorilla_$figure
      build_go "bench/peers/$program.go" "$out/$program" || exit 1 ;;
  esac
done

round=0
while [ $round -lt "$rounds" ]; do
  round=$((round + 1))
  for figure in $figures; do
    for name in $(wanted "$figure"); do
      case ${skipped:-} in *" $name "*) continue ;; esac
      : >"$work/log"
      if run_one "$figure" "$name" >"$work/line"; then
        sed "s/^/$round /" "$work/line" >>"$work/results"
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

# The denominator is the first program of a figure; ratios are taken round by
# round, and the median of them is printed.
[ -e "$work/results" ] || exit 1
echo "CPU $cpu, $rounds rounds: medians; ratio to the first line of a figure"
awk '
  function median(a, n,  i, j, t) {
    for (i = 2; i <= n; i++)
      for (j = i; j > 1 && a[j - 1] > a[j]; j--) {
        t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
      }
    return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
  }
  { key = $2 " " $3
    if (!(key in seen)) { seen[key] = 1; keys[++nkeys] = key }
    if (!($2 in base)) base[$2] = $3
    value[$1, key] = $4
    if ($1 > rounds) rounds = $1 }
  END {
    printf "%-14s %-13s %12s %-6s %7s %7s\n",
      "figure", "program", "per op", "", "ratio", "spread"
    for (k = 1; k <= nkeys; k++) {
      split(keys[k], w, " "); n = m = 0
      if (k > 1 && w[1] != last) print ""
      last = w[1]
      for (r = 1; r <= rounds; r++) if ((r, keys[k]) in value) {
        v[++n] = value[r, keys[k]]
        b = w[1] " " base[w[1]]
        if ((r, b) in value) q[++m] = v[n] / value[r, b]
      }
      mid = median(v, n)
      ratio = m ? sprintf("%.2f", median(q, m)) : "-"
      spread = (mid > 0) ? (v[n] - v[1]) / mid * 100 : 0
      printf "%-14s %-13s %12.1f %-6s %7s %6.1f%%\n", w[1], w[2], mid,
        (w[1] == "memory" || w[1] == "idle" ? "bytes" : "ns"), ratio, spread
    }
  }' "$work/results"
exit $failed
