#!/bin/sh
# Makes sure that what a make target needs is there.
#
#   bootstrap.sh [--check] GROUP...
#
# Looks first, and does nothing when nothing is missing. Otherwise installs the
# packages with apt-get (Debian, Ubuntu; sudo only when not root), or, on other
# systems and with --check, prints what to install and fails.

set -u

# group  need          Debian/Ubuntu  Fedora        Alpine         Homebrew
# A need is `cmd:NAME`, `pc:NAME` (pkg-config), `header:FILE`, or one of the
# need_ functions below. @NAME differs between Debian's releases, see
# debian_name; rock:NAME comes from LuaRocks; - is not to be had there.
table() {
  cat <<'END'
build    compiler      gcc,libc6-dev  gcc           gcc,musl-dev   llvm
build    cmd:make      make           make          make           make
build    pkgconfig     pkg-config     pkgconf       pkgconf        pkg-config
build    lua           lua5.4         lua           lua5.4         lua@5.4
build    lua_headers   liblua5.4-dev  lua-devel     lua5.4-dev     lua@5.4
build    pc:libuv      libuv1-dev     libuv-devel   libuv-dev      libuv
build    llhttp        @llhttp        llhttp-devel  llhttp-dev     llhttp
build    pc:libcares   libc-ares-dev  c-ares-devel  c-ares-dev     c-ares
build    pc:openssl    libssl-dev     openssl-devel openssl-dev    openssl
build    pc:zlib       zlib1g-dev     zlib-devel    zlib-dev       zlib
build    header:wslay/wslay.h libwslay-dev wslay-devel wslay-dev   wslay
llhttp   llhttp        @llhttp        llhttp-devel  llhttp-dev     llhttp
demo     cmd:curl      curl           curl          curl           curl
test     busted        lua-busted     rock:busted   rock:busted    rock:busted
test     cmd:curl      curl           curl          curl           curl
test     cmd:openssl   openssl        openssl       openssl      openssl
test     services       netbase        setup         -              -
test     cmd:ps        procps         procps-ng     procps         -
test     websockets    python3-websockets python3-websockets py3-websockets -
test     cmd:dnsmasq   dnsmasq-base   dnsmasq       dnsmasq        dnsmasq
test     python_h11    python3-h11    python3-h11   py3-h11        -
test     cmd:strace    strace         strace        strace         -
test     mod:socket lua-socket rock:luasocket lua5.4-socket rock:luasocket
test     mod:ssl    lua-sec    rock:luasec    lua5.4-sec    rock:luasec
test     cmd:redis-server redis-server redis        redis          redis
test     redis_lua     lua-redis      -             -              -
ci       postgres      postgresql     -             -              -
lint     cmd:luacheck  lua-check      rock:luacheck rock:luacheck  luacheck
analyze  cmd:clang-tidy clang-tidy     clang-tools-extra clang-extra-tools llvm
asan     libasan       gcc            libasan,libubsan -              -
valgrind cmd:valgrind  valgrind       valgrind      valgrind       -
docs     ldoc          lua-ldoc,lua5.1 rock:ldoc     rock:ldoc      rock:ldoc
docs     markdown      lua-markdown   -             -              -
fuzz     libfuzzer     clang,@clang_rt clang,compiler-rt clang,compiler-rt llvm
chroot   cmd:debootstrap debootstrap   debootstrap   debootstrap    -
peers    python_gevent python3-gevent python3-gevent py3-gevent     -
peers    cmd:wrk       wrk            wrk           wrk            wrk
peers    cmd:tarantool tarantool      tarantool     tarantool      tarantool
peers    cmd:go        golang-go      golang        go             go
peers    cmd:nginx     libnginx-mod-http-lua nginx         nginx          nginx
peers    mod:luv       lua-luv        rock:luv      lua5.4-luv     rock:luv
peers    mod:cqueues   lua-cqueues    rock:cqueues  lua5.4-cqueues rock:cqueues
END
}

# ---- is it there? -----------------------------------------------------------

have() { command -v "$1" >/dev/null 2>&1; }

pkg() { "${PKG_CONFIG:-pkg-config}" --exists "$@" 2>/dev/null; }

lua_is_54() { # COMMAND
  have "$1" && "$1" -e 'os.exit(_VERSION == "Lua 5.4")' 2>/dev/null
}

need_compiler() {
  compiler=${CC:-cc}
  have "$compiler" || compiler=gcc
  echo '#include <stdio.h>' |
    "$compiler" -fsyntax-only -x c - >/dev/null 2>&1
}

has_header() { # FILE
  echo "#include <$1>" | "${CC:-cc}" -fsyntax-only -x c - >/dev/null 2>&1
}

need_pkgconfig() { have "${PKG_CONFIG:-pkg-config}"; }

need_lua() { lua_is_54 "${LUA:-lua}" || lua_is_54 lua5.4; }

need_lua_headers() {
  for name in lua5.4 lua-5.4 lua54 lua; do
    pkg "$name >= 5.4 $name < 5.5" && return
  done
  return 1
}

need_llhttp() {
  test -f "${LLHTTP_DIR:-/usr/share/llhttp}/llhttp.c" || pkg libllhttp
}

need_busted() { test -x /usr/bin/busted || have busted; }

need_libasan() {
  have gcc && test -e "$(gcc -print-file-name=libasan.so)"
}

need_libfuzzer() {
  have clang && test -e "$(clang -print-runtime-dir 2>/dev/null)" &&
    echo 'int LLVMFuzzerTestOneInput(void *p, long n);
      int LLVMFuzzerTestOneInput(void *p, long n) { return !p && n; }' |
    clang -fsanitize=fuzzer,address -x c - -o /dev/null >/dev/null 2>&1
}

# Debian's looks for an older Lua, which its package does not depend on.
need_ldoc() {
  have ldoc && ! ldoc --help 2>&1 | grep -q 'no suitable Lua'
}

# LDoc can do without, but not as well.
need_markdown() {
  ! have apt-get || test -e /usr/share/lua/5.1/markdown.lua
}

need_services() { test -e /etc/services; }

need_postgres() {
  have postgres || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1
}

need_python_gevent() { python3 -c 'import gevent' >/dev/null 2>&1; }

# The system's Python need not be the first one in PATH.
python_has() { # MODULE
  for python in python3 /usr/bin/python3; do
    "$python" -c "import $1" >/dev/null 2>&1 && return
  done
  return 1
}

need_python_h11() { python_has h11; }

need_websockets() { python_has websockets; }

# Pure Lua, which Debian has for Lua 5.1 to 5.3; the specs find it there.
need_redis_lua() {
  ! have apt-get || test -e /usr/share/lua/5.1/redis.lua
}

need_mod() { "${LUA:-lua5.4}" -e "require '$1'" >/dev/null 2>&1; }

met() { # NEED
  case $1 in
    cmd:*) have "${1#cmd:}" ;;
    pc:*) pkg "${1#pc:}" ;;
    header:*) has_header "${1#header:}" ;;
    *:*) "need_${1%%:*}" "${1#*:}" ;;
    *) "need_$1" ;;
  esac
}

# missing COLUMN GROUP...: the packages, by their names in that column (3..6),
# for which something is missing.
missing() {
  column=$1
  shift
  for wanted in "$@"; do
    table | while read -r group need deb rpm apk brew; do
      test "$group" = "$wanted" || continue
      met "$need" && continue
      # shellcheck disable=SC2086  # four words become $1 to $4
      set -- $deb $rpm $apk $brew
      shift $((column - 3))
      echo "$1"
    done
  done | tr ',' '\n' | grep -v '^-$' | awk '!seen[$0]++'
}

# needs GROUP...: the same as names of things, for people.
needs() {
  for wanted in "$@"; do
    table | while read -r group need _; do
      test "$group" = "$wanted" && ! met "$need" && echo "${need#*:}"
    done
  done | awk '!seen[$0]++' | paste -sd ' ' -
}

# ---- getting it -------------------------------------------------------------

words() { paste -sd ' ' -; }

# Splits a list into what the system packages and what LuaRocks has.
advise() { # INSTALL-COMMAND COLUMN GROUP...
  command=$1
  column=$2
  shift 2
  list=$(missing "$column" "$@")
  system=$(echo "$list" | grep -v '^rock:' | words)
  rocks=$(echo "$list" | sed -n 's/^rock://p')
  test -z "$system" || echo "  $command $system"
  for rock in $rocks; do echo "  luarocks install $rock"; done
}

explain() { # GROUP...
  echo "missing: $(needs "$@")"
  if have apt-get; then
    echo "  apt-get install $(missing 3 "$@" | debian_names | words)"
  elif have dnf; then
    advise 'dnf install' 4 "$@"
  elif have apk; then
    advise 'apk add' 5 "$@"
  elif have brew; then
    advise 'brew install' 6 "$@"
  else
    echo 'install one of these sets:'
    advise 'Fedora:   dnf install' 4 "$@"
    advise 'Alpine:   apk add' 5 "$@"
    advise 'Homebrew: brew install' 6 "$@"
  fi
}

debian_name() {
  case $1 in
    @llhttp) # a library in newer releases, its source files in Debian 12
      if apt-cache show libllhttp-dev >/dev/null 2>&1; then
        echo libllhttp-dev
      else
        echo node-llhttp
      fi ;;
    @clang_rt) # libFuzzer, in a package numbered like the default clang
      apt-cache depends clang 2>/dev/null |
        sed -n 's/.*Depends: clang-\([0-9]*\)$/libclang-rt-\1-dev/p' ;;
    *) echo "$1" ;;
  esac
}

debian_names() { while read -r name; do debian_name "$name"; done; }

# Quiet, as hundreds of lines would bury what comes after; unless it fails.
apt() {
  if test "$(id -u)" -eq 0; then
    as_root=
  elif have sudo; then
    as_root=sudo
  else
    echo 'bootstrap: neither root nor sudo' >&2
    return 1
  fi
  log=$(mktemp)
  $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -o DPkg::Lock::Timeout=120 "$@" >"$log" 2>&1 </dev/null
  status=$?
  test $status -eq 0 || cat "$log" >&2
  rm -f "$log"
  return $status
}

install_once() { # GROUP...
  apt update || return
  # The names are known only once the lists are there.
  packages=$(missing 3 "$@" | debian_names | words)
  echo "  apt-get install $packages"
  # shellcheck disable=SC2086  # one word for each package
  apt install -y --no-install-recommends $packages
}

main() {
  check=
  if test "${1-}" = --check; then
    check=1
    shift
  fi
  test -n "$(needs "$@")" || return 0
  if test -n "$check" || ! have apt-get; then
    explain "$@" >&2
    return 1
  fi
  echo "bootstrap: installing what is missing: $(needs "$@")"
  if ! install_once "$@"; then
    echo 'bootstrap: that failed, trying once more' >&2
    sleep 3
    install_once "$@"
  fi
  test -z "$(needs "$@")" && return 0
  explain "$@" >&2
  return 1
}

main "$@"
