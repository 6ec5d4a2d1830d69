#!/bin/sh
# Starts examples/http_hello.lua on a free port, sends it requests with curl,
# shows and checks what comes back, and stops it. Run it by `make demo`, which
# sets LUA_PATH and LUA_CPATH.

set -u

LUA=${LUA:-lua5.4}
command -v "$LUA" >/dev/null || LUA=lua
EXAMPLE=examples/http_hello.lua
work=$(mktemp -d)
server=
bad=0

# Our own server is to be asked, whatever proxy is set for the world outside.
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY

stop_server() {
  if test -n "$server"; then
    kill "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    server=
  fi
}

trap 'stop_server; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# ---- the server -------------------------------------------------------------

# curl's exit status 7 is "could not connect": nobody listens there.
port_is_free() { # PORT
  curl -s -o "$work/ignored" --max-time 2 "http://127.0.0.1:$1/"
  test $? -eq 7
}

server_is_up() {
  kill -0 "$server" 2>/dev/null &&
    curl -s -o "$work/ignored" --max-time 2 "$url"
}

# Waits until the server answers; fails as soon as it has ended.
wait_for_server() {
  tries=0
  until server_is_up; do
    kill -0 "$server" 2>/dev/null || return 1
    tries=$((tries + 1))
    test $tries -lt 100 || return 1
    sleep 0.1
  done
}

start_server() {
  port=$((20000 + $$ % 12000))
  until port_is_free $port; do port=$((port + 1)); done
  url=http://127.0.0.1:$port/
  echo "\$ $LUA $EXAMPLE $port &"
  "$LUA" $EXAMPLE $port >"$work/log" 2>&1 </dev/null &
  server=$!
  if ! wait_for_server; then
    echo 'demo: the server did not come up; it said:'
    cat "$work/log"
    exit 1
  fi
  cat "$work/log"
}

# ---- requests ---------------------------------------------------------------

# ask CURL-ARGUMENT...: shows the command and the answer, keeps it in $work/out.
ask() {
  echo
  printf '$ curl'
  for word in "$@"; do
    case $word in
      *[!A-Za-z0-9_./:=-]*) printf " '%s'" "$word" ;;
      *) printf ' %s' "$word" ;;
    esac
  done
  echo
  curl -sS --max-time 10 "$@" >"$work/out" 2>&1
  status=$?
  tr -d '\r' <"$work/out" >"$work/text"
  cat "$work/text"
  test -z "$(tail -c 1 "$work/text")" || echo
  test $status -eq 0 || wrong "curl failed with $status"
}

wrong() {
  echo "   WRONG: $1"
  bad=1
}

# expect PATTERN MEANING: the answer must have a line like that.
expect() {
  if grep -qiE "$1" "$work/text"; then
    echo "   ok: $2"
  else
    wrong "no $2"
  fi
}

start_server

ask -i "$url"
expect '^HTTP/1.1 200 ' 'status 200'
expect '^Content-Type: ' 'content type'
expect 'hello' 'greeting'

ask -I "$url"
expect '^HTTP/1.1 200 ' 'status 200 for HEAD'
expect '^Content-Length: [1-9]' 'length of the body that HEAD leaves out'

ask -i -d 'sent and returned' "${url}echo"
expect '^HTTP/1.1 200 ' 'status 200 for POST'
expect 'sent and returned' 'body that was sent'

ask -w '\n[new connections: %{num_connects}]\n' "$url" "$url"
expect '^\[new connections: 1\]' 'connection for the first request'
expect '^\[new connections: 0\]' 'second request on the same connection'

ask -i "${url}no/such/page"
expect '^HTTP/1.1 404 ' 'status 404'

kill -0 "$server" 2>/dev/null || wrong 'the server has ended'
stop_server

echo
if test $bad -ne 0; then
  echo 'demo: something came back that should not have'
  exit 1
fi
cat <<END
All answers are right, and the server is stopped. To keep one running:

  LUA_PATH='$LUA_PATH' LUA_CPATH='$LUA_CPATH' \\
    $LUA $EXAMPLE 8080

and then, in another terminal: curl -i http://127.0.0.1:8080/
(Ctrl-C ends it. After \`make install\` the two variables are not needed.)
END
