#!/bin/sh
# bench/lib.sh - what run.sh, instructions.sh and syscalls.sh share: builds the
# C and Go programs, finds the command of a program, starts and ends servers.
# Sourced from the repository's root. Ends every server and removes its
# directory when the sourcing script ends, however it ends.
# environment: LUA (lua5.4), LUA51 (lua5.1), PYTHON, CC (cc), CFLAGS (-O2)
LUA=${LUA:-lua5.4} LUA51=${LUA51:-lua5.1}
export LUA_PATH_5_4="lua/?.lua;lua/?/init.lua;;" LUA_CPATH_5_4="build/?.so;;"
export GOMAXPROCS=1 GOFLAGS=-mod=mod GOPROXY=off
export NODE_PATH="${NODE_PATH:+$NODE_PATH:}/usr/share/nodejs"
gocode=/usr/share/gocode  # where Debian puts Go libraries
out=build/bench
load=$out/load tls_load=$out/tls_load
tls_file=$out/16m  # what an HTTPS server serves
work=$(mktemp -d) || exit 1
server=
server_args=

say() { echo "$*" >&2; }

finish() {
  status=$?
  trap - EXIT
  [ ! -e "$work/server" ] || server=$(cat "$work/server")  # of a subshell
  stop
  rm -rf "$work"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The Python that has gevent; the first in PATH need not be the system's.
if [ -z "${PYTHON:-}" ]; then
  for PYTHON in python3 /usr/bin/python3; do
    "$PYTHON" -c 'import gevent' 2>/dev/null && break
  done
fi

for python_ws in python3 /usr/bin/python3; do
  "$python_ws" -c 'import websockets' 2>/dev/null && break
done

# shellcheck disable=SC3013  # -nt: dash, busybox and the BSDs have it
newer() { [ "$1" -nt "$2" ]; }

# build_c SOURCE PROGRAM [LIBRARY...]: compiles unless it is there and newer.
build_c() {
  c_file=$1 c_program=$2
  shift 2
  # shellcheck disable=SC2086
  { newer "$c_program" "$c_file" && newer "$c_program" bench/clock.h; } ||
    ${CC:-cc} -std=c11 ${CFLAGS:--O2} -Wall -Wextra -o "$c_program" "$c_file" \
      "$@"
}

# make_tls: the programs in C, a certificate and the file of the tls figures.
make_tls() {
  build_c bench/tls_load.c "$tls_load" -lssl -lcrypto &&
    build_c bench/peers/epoll_tls_echo.c $out/epoll_tls_echo -lssl -lcrypto &&
    head -c 16777216 /dev/zero >"$tls_file" &&
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
      -keyout "$work/key.pem" -out "$work/cert.pem" -subj /CN=localhost \
      -days 2 2>"$work/log"
}

# A program that uses a library is built with Debian's, without modules.
build_go() {
  newer "$2" "$1" && return
  if grep -q '"github.com/' "$1"; then
    GO111MODULE=off GOFLAGS='' GOPATH=$gocode go build -o "$2" "$1"
  else
    go build -o "$2" "$1"
  fi
}

# available NAME: whether this machine has what a program of that name needs.
available() {
  case $1 in
    gevent*) "$LUA" -e 'require "gevent"' ;;
    lua) command -v "$LUA" ;;
    cqueues) "$LUA" -e 'require "cqueues"' ;;
    copas) "$LUA" -e 'package.path = package.path .. ";/usr/share/lua/5.2/?.lua"
      require "copas"' ;;
    luasocket) "$LUA" -e 'require "socket"' ;;
    luv) "$LUA" -e 'require "luv"' ;;
    luahttp) "$LUA51" -e 'require "http.server"' ;;
    pygevent) "$PYTHON" -c 'import gevent' ;;
    tarantool) command -v tarantool ;;
    go) command -v go ;;
    gorilla) command -v go && [ -d $gocode/src/github.com/gorilla/websocket ] ;;
    node) command -v node ;;
    nodews) node -e 'require("ws")' ;;
    pyws) "$python_ws" -c 'import websockets' ;;
    epoll) [ -x $out/epoll_echo ] ;;
    nginx) command -v nginx ;;
    openssl) command -v openssl ;;
    nginxlua) command -v nginx &&
      [ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] ;;
    *) false ;;
  esac >/dev/null 2>&1
}

# package NAME: what to install where it is not available.
package() {
  case $1 in
    gevent*) echo "this library: make" ;;
    lua) echo lua5.4 ;;
    cqueues) echo lua-cqueues ;;
    copas) echo lua-copas lua-socket ;;
    luasocket) echo lua-socket ;;
    luv) echo lua-luv ;;
    luahttp) echo lua-http lua5.1 ;;
    pygevent) echo python3-gevent ;;
    tarantool) echo tarantool ;;
    go) echo golang-go ;;
    gorilla) echo golang-go golang-github-gorilla-websocket-dev ;;
    node) echo nodejs ;;
    nodews) echo nodejs node-ws ;;
    pyws) echo python3-websockets ;;
    nginx) echo nginx ;;
    openssl) echo openssl ;;
    nginxlua) echo libnginx-mod-http-lua ;;
  esac
}

# version NAME: of what such a program runs on, on one line.
version() {
  case $1 in
    libraries) echo "libuv $(pkg-config --modversion libuv)," \
      "c-ares $(pkg-config --modversion libcares)," \
      "OpenSSL $(pkg-config --modversion openssl)," \
      "$(getconf GNU_LIBC_VERSION), $(${CC:-cc} --version | head -n 1)" ;;
    gevent) "$LUA" -e 'print(require "gevent".version .. ", " .. _VERSION)' ;;
    lua) "$LUA" -v | cut -d ' ' -f 1-2 ;;
    cqueues) "$LUA" -e 'print(require "cqueues".VERSION)' ;;
    copas) "$LUA" -e 'package.path = package.path .. ";/usr/share/lua/5.2/?.lua"
      print(require "copas"._VERSION)' ;;
    luasocket) "$LUA" -e 'print(require "socket"._VERSION)' ;;
    luv) "$LUA" -e 'print("libuv " .. require "luv".version_string())' ;;
    luahttp) "$LUA51" -e 'print(require "http.version".version)' ;;
    pygevent) "$PYTHON" -c 'import gevent, sys
print(gevent.__version__ + ", Python " + sys.version.split()[0])' ;;
    tarantool) tarantool --version | head -n 1 ;;
    go) go version ;;
    gorilla) dpkg-query -W -f '${Version}\n' \
      golang-github-gorilla-websocket-dev ;;
    node) node --version ;;
    nodews) node -p 'require("ws/package.json").version' ;;
    pyws) "$python_ws" -c 'import websockets; print(websockets.__version__)' ;;
    nginx) nginx -v 2>&1 | sed 's/.*: //' ;;
    nginxlua) dpkg-query -W -f '${Version}\n' libnginx-mod-http-lua ;;
    openssl) openssl version | cut -d ' ' -f 1-2 ;;
  esac
}

# command_of FIGURE NAME [ARGUMENT...]: prints the command, as words. The
# argument of a server is its port; that of https gets what it serves as well.
command_of() {
  program=$2_$1
  figure=$1
  name=$2
  shift 2
  case $figure in
    https) set -- "$1" "$work/cert.pem" "$work/key.pem" "$tls_file" ;;
    tls_echo) set -- "$1" "$work/cert.pem" "$work/key.pem" ;;
  esac
  case $name in
    gevent* | luasocket) echo "$LUA bench/$figure.lua $*" ;;
    lua | cqueues | luv | copas) echo "$LUA bench/peers/$program.lua $*" ;;
    luahttp) echo "$LUA51 bench/peers/$program.lua $*" ;;
    pygevent) echo "$PYTHON bench/peers/$program.py $*" ;;
    tarantool) echo "tarantool bench/peers/$program.lua $*" ;;
    pyws) echo "$python_ws bench/peers/$program.py $*" ;;
    node*) echo "node bench/peers/$program.js $*" ;;
    go | gorilla | epoll) echo "$out/$program $*" ;;
    openssl) echo "openssl s_server -accept 127.0.0.1:$1 -cert $2 -key $3" \
      "-WWW -quiet" ;;
    nginx*) sed "s/@PORT@/$1/; s|@CERT@|${2:-}|; s|@KEY@|${3:-}|
      s|@ROOT@|$PWD|" "bench/peers/$program.conf" >"$work/nginx.conf"
      echo "nginx -p $work -e stderr -c $work/nginx.conf" ;;
  esac
}

# gone PID: whether that process has ended (a zombie has).
gone() {
  case $(grep '^State:' "/proc/$1/status" 2>/dev/null) in
    "" | *Z*) return 0 ;;
  esac
  return 1
}

# start FIGURE NAME [WRAPPER...]: starts a server, with $server_args after its
# port; sets server (its process) and
# port. The wrapper (taskset, valgrind, strace -D) must keep the process, so
# that $! is the server. The load generator waits until it listens.
start() {
  port=$("$load" -F) || exit 1
  # shellcheck disable=SC2086
  server_command=$(command_of "$1" "$2" "$port" $server_args)
  if [ "$1" = http_static ]; then # the last argument; nginx serves its -p
    head -c 10240 /dev/zero | tr '\0' x >"$work/file.txt"
    case $2 in nginx*) ;; *) server_command="$server_command $work" ;; esac
  fi
  shift 2
  # shellcheck disable=SC2086
  "$@" $server_command >"$work/log" 2>&1 </dev/null &
  server=$!
  echo $server >"$work/server"
}

# stop: ends the server of the last start and waits for it. It is asked again
# every second (nginx can miss a signal that comes just before it waits) and
# ended by force after ten.
stop() {
  [ -n "$server" ] || return 0
  tries=0
  until gone "$server"; do
    [ $((tries % 50)) -ne 0 ] || kill "$server" 2>/dev/null
    [ $tries -ne 500 ] || { kill -9 "$server" && say "server ended by force"; }
    tries=$((tries + 1))
    sleep 0.02
  done
  wait "$server" 2>/dev/null
  rm -f "$work/server"
  server=
}

mkdir -p $out
build_c bench/load.c $load || exit 1
build_c bench/peers/epoll_echo.c $out/epoll_echo || exit 1
