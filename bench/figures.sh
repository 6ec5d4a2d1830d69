#!/bin/sh
# bench/figures.sh - what run.sh measures: the programs of each figure, what
# they serve, and how often. Sourced, after lib.sh.
# shellcheck disable=SC2034,SC2154
all_figures='switch switch1 spawn memory sleepers pingpong event semaphore
  timeout poolmap echo echo64k churn idle recv luasocket http_hello
  http_pipelined http_close http_json http_static http_idle ws_echo http_client
  tls_full tls_resumed tls_echo tls_bulk'

# programs FIGURE: the denominator first.
programs() {
  case $1 in
    switch | switch1) echo lua gevent cqueues luv pygevent tarantool go ;;
    spawn) echo lua gevent gevent-main gevent-all gevent-raw cqueues pygevent \
      tarantool go ;;
    memory) echo lua gevent cqueues pygevent tarantool go ;;
    sleepers) echo go gevent cqueues pygevent tarantool ;;
    pingpong) echo tarantool gevent pygevent go ;;
    event | poolmap) echo go gevent pygevent ;;
    semaphore) echo go gevent pygevent tarantool ;;
    timeout) echo lua gevent pygevent go ;;
    echo) echo epoll gevent luv cqueues copas pygevent tarantool node go ;;
    echo64k) echo epoll gevent go ;;
    churn | idle) echo go gevent pygevent ;;
    recv) echo gevent gevent-timeout ;;
    luasocket) echo luasocket gevent gevent-64 ;;
    http_hello) echo nginxlua gevent nginx luv node go luahttp pygevent ;;
    http_pipelined) echo nginxlua gevent nginx go ;;
    http_close) echo go gevent nginxlua nginx ;;
    http_json) echo go gevent ;;
    http_static) echo nginx gevent go ;;
    http_idle) echo go gevent nginx node ;;
    ws_echo) echo gorilla gevent nodews pyws ;;
    http_client) echo go gevent ;;
    tls_full | tls_resumed) echo epoll gevent gevent-https openssl nginx go \
      pygevent ;;
    tls_echo) echo epoll gevent go ;;
    tls_bulk) echo nginx gevent openssl go pygevent ;;
    *) say "no figure $1"; exit 2 ;;
  esac
}

# program_of FIGURE NAME: the figure whose program it runs.
program_of() {
  case $1-$2 in
    switch1-*) echo switch ;;
    http_pipelined-* | http_close-* | http_idle-*) echo http_hello ;;
    echo64k-* | idle-*) echo echo ;;
    tls_echo-* | tls_full-epoll | tls_full-gevent | tls_resumed-epoll | \
      tls_resumed-gevent) echo tls_echo ;;
    tls_*) echo https ;;
    *) echo "$1" ;;
  esac
}

# unit FIGURE
unit() {
  case $1 in memory | idle | http_idle) echo bytes ;; *) echo ns ;; esac
}

# options FIGURE N: what the load generator is to do, in N operations; nothing
# for figures that are a program by themselves.
options() {
  case $1 in
    echo64k) set -- -c 16 -s 65536 ;;
    churn) set -- -A ;;
    idle) set -- -c "$2" -M ;;
    http_idle) set -- -c "$2" -M -H / ;;
    http_pipelined) set -- -H / -d 16 ;;
    http_close) set -- -H / -1 ;;
    http_json) set -- -H /users/42 ;;
    http_static) set -- -H /file.txt ;;
    http_hello) set -- -H / ;;
    ws_echo) set -- -W ;;
    tls_resumed) set -- -r ;;
    tls_echo) set -- -e 65536 ;;
    tls_bulk) set -- -b "/$tls_file" ;;
    *) return ;;
  esac
  printf '%s ' "$@"
}

# count FIGURE NAME: operations of a run, so that it takes about half a second.
count() {
  case $1-$2 in
    switch*-go) echo 5000000 ;;
    switch*-cqueues | switch*-pygevent) echo 300000 ;;
    switch*) echo 2000000 ;;
    spawn-cqueues | spawn-pygevent) echo 50000 ;;
    spawn*) echo 500000 ;;
    memory-tarantool | sleepers-tarantool | sleepers-pygevent) echo 20000 ;;
    memory* | sleepers*) echo 100000 ;;
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
    idle* | http_idle*) echo 5000 ;;
    recv*) echo 100000 ;;
    luasocket*) echo 50000 ;;
    echo*) echo 100000 ;;
    http_pipelined-*) echo 200000 ;;
    http_close-*) echo 20000 ;;
    http_hello-luahttp | http_hello-pygevent) echo 5000 ;;
    http_hello* | http_json* | http_static*) echo 50000 ;;
    ws_echo-pyws) echo 10000 ;;
    ws_echo*) echo 100000 ;;
    http_client*) echo 20000 ;;
    tls_bulk*) echo 1000 ;;
    tls_echo*) echo 5000 ;;
    tls*) echo 1500 ;;
  esac
}
