#!/bin/sh
# Runs the C tests and the specs in one of three ways.
#
#   spec.sh plain|asan|valgrind [BUSTED-OPTION...]
#
# From the environment: LUA, the interpreter; SPEC, the name of one spec file
# (spec/hub_spec.lua, hub_spec or hub), which also leaves out the C tests;
# GEVENT_SPEC_GC, which spec/helper.lua obeys. The specs find the mode in
# GEVENT_SPEC_MODE and may do less where everything is slower, and the
# interpreter for Lua programs that they start in GEVENT_SPEC_LUA.

set -u

mode=$1
shift
LUA=${LUA:-$(command -v lua5.4 || echo lua)}
build=build
test "$mode" = asan && build=build/asan

export GEVENT_SPEC_MODE="$mode"
export LUA_PATH="lua/?.lua;lua/?/init.lua;spec/?.lua;${LUA_PATH:-;}"
export LUA_CPATH="$build/?.so;${LUA_CPATH:-;}"
unset LUA_PATH_5_4 LUA_CPATH_5_4  # they would go before ours

# ---- the interpreter, with one of the tools ---------------------------------

# Lua is not instrumented, so libasan comes in by LD_PRELOAD, by way of a script
# that is the interpreter to whoever starts one.
write_asan_lua() { # FILE
  mkdir -p "${1%/*}" &&
    gcc -shared -fPIC -o "$build/unpreload.so" scripts/unpreload.c &&
    cat >"$1" <<END &&
#!/bin/sh
LD_PRELOAD=$(gcc -print-file-name=libasan.so):$(pwd)/$build/unpreload.so \\
  exec $(command -v "$LUA") "\$@"
END
    chmod +x "$1"
}

set_asan_options() { # DETECT-LEAKS
  more=detect_stack_use_after_return=1:strict_string_checks=1
  export ASAN_OPTIONS="detect_leaks=$1:$more:allocator_may_return_null=1"
}

use_asan() {
  interpreter=$(pwd)/$build/bin/lua5.4
  write_asan_lua "$interpreter" || exit 1
  PATH=${interpreter%/*}:$PATH
  export UBSAN_OPTIONS=print_stacktrace=1
  supp=$(pwd)/scripts/lsan.supp
  export LSAN_OPTIONS="suppressions=$supp:print_suppressions=0"
  set_asan_options 1
  # Leak detection needs ptrace, which some containers forbid.
  if "$interpreter" -e 'os.exit(true, true)' 2>&1 | grep -q 'fatal error'; then
    echo 'NOTE: leaks are not looked for: LeakSanitizer does not work here'
    set_asan_options 0
  fi
}

interpreter=$LUA
tool=
case $mode in
  asan) use_asan ;;
  valgrind)
    tool="valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite
      --error-exitcode=1 --child-silent-after-fork=yes
      --suppressions=scripts/valgrind.supp" ;;
esac
export GEVENT_SPEC_LUA="$interpreter"

# ---- C tests ----------------------------------------------------------------

bad=0

c_tests() {
  for program in "$build"/c/*; do
    test -x "$program" || continue
    test -e "spec/c/${program##*/}.c" || continue
    echo "== $program"
    # shellcheck disable=SC2086  # words
    $tool "$program" || bad=1
  done
}

# ---- specs ------------------------------------------------------------------

# Debian's busted is a Lua script. LuaRocks' is a shell script that knows which
# interpreter to take, which is not for it to say here.
find_busted() {
  busted=/usr/bin/busted
  head -n 1 $busted 2>/dev/null | grep -q lua && return
  busted=$build/busted.lua
  echo 'require "busted.runner"({standalone = false})' >$busted
}

run_busted() {
  find_busted
  # shellcheck disable=SC2086  # words
  $tool "$interpreter" "$busted" "$@" || bad=1
}

test -n "${SPEC:-}" || c_tests
echo "== specs, $mode${GEVENT_SPEC_GC:+, $GEVENT_SPEC_GC collector}"
if test -z "${SPEC:-}"; then
  run_busted "$@" spec
elif test -f "spec/${SPEC%_spec}_spec.lua"; then
  run_busted "$@" "spec/${SPEC%_spec}_spec.lua"
elif test -e "$SPEC"; then
  run_busted "$@" "$SPEC"
else
  name=${SPEC%.lua}
  run_busted "$@" --pattern="${name%_spec}_spec" spec
fi
exit $bad
