#!/bin/sh
# Tries what the README promises on a Debian that has nothing yet: makes a tree
# of it by debootstrap, copies the last commit there, and runs, as a newcomer
# would, `make demo`, `make test`, LuaRocks and the Debian package.
#
#   chroot.sh [STEP...]     (root, for debootstrap and chroot; all steps unless
#                           told: demo test rock deb)
#
# From the environment: SUITE=bookworm; MIRROR, a Debian mirror, which is that
# of this machine's own apt unless told; CHROOT, a directory, which then stays
# and is used again: else a temporary one, removed at the end.

set -eu

SUITE=${SUITE:-bookworm}

if test "$(id -u)" -ne 0; then
  echo 'chroot: only root can make one' >&2
  exit 1
fi

# Mounts and processes of this namespace end with it, however that comes.
if test -z "${CHROOT_INSIDE:-}"; then
  CHROOT_INSIDE=1 exec unshare --mount --pid --fork --kill-child -- sh "$0" "$@"
fi

if test -n "${CHROOT:-}"; then
  root=$CHROOT
  mkdir -p "$root"
  finish() { :; }
else
  root=$(mktemp -d)
  finish() {
    umount -R -l "$root/proc" "$root/dev" 2>/dev/null || :
    rm -rf --one-file-system "$root"
  }
fi
trap finish EXIT
trap 'exit 130' INT TERM

# ---- the tree ---------------------------------------------------------------

mirror() {
  # shellcheck disable=SC2016  # apt's variables
  apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' \
    'Created-By: Packages' | sed -n 's/^Debian //p' | head -n 1
}

# How this machine gets at the mirror is right for the tree, too.
settings() {
  apt-config dump | grep -E '^Acquire::(https?::|Check-)' || :
}

make_tree() {
  MIRROR=${MIRROR:-$(mirror)}
  if test -z "$MIRROR"; then
    echo 'chroot: set MIRROR to a Debian mirror' >&2
    exit 1
  fi
  echo "== debootstrap $SUITE"
  debootstrap --variant=minbase "$SUITE" "$root" "$MIRROR" >"$root.log" || {
    cat "$root.log" >&2
    exit 1
  }
  rm -f "$root.log"
  settings >"$root/etc/apt/apt.conf.d/99host"
  # A package that brings a daemon is not to start it.
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod +x "$root/usr/sbin/policy-rc.d"
}

command -v debootstrap >/dev/null || sh scripts/bootstrap.sh chroot
test -x "$root/usr/bin/apt-get" || make_tree
cp /etc/resolv.conf "$root/etc/"
# The installer writes this, not debootstrap.
printf '127.0.0.1 localhost %s\n::1 localhost ip6-localhost\n' "$(hostname)" \
  >"$root/etc/hosts"
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"

inside() {
  env -i HOME=/root LANG=C.UTF-8 TERM=dumb DEBIAN_FRONTEND=noninteractive \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    chroot "$root" sh -eu -c "cd /src; $1" </dev/null
}

rm -rf "$root/src"
mkdir "$root/src"
git archive HEAD | tar -x -C "$root/src"

# ---- the steps --------------------------------------------------------------

get='apt-get -q -y --no-install-recommends install'

step_demo() {
  inside 'make demo'
}

step_test() {
  inside 'make -j"$(nproc)" test'
}

# A rock from the source, then one packed of it in another place; neither sees
# the source.
step_rock() {
  inside "$get luarocks git" && inside '
    git -c init.defaultBranch=main init -q . && git add -A
    git -c user.name=n -c user.email=n@localhost commit -q -m try
    rm -rf build /tmp/one /tmp/two
    luarocks --lua-version 5.4 --tree /tmp/one make
    cd /tmp && luarocks --lua-version 5.4 --tree /tmp/one pack gevent
    luarocks --lua-version 5.4 --tree /tmp/two install ./gevent-*.rock
    for tree in /tmp/one /tmp/two; do
      $tree/bin/gevent --version
      echo "print(gevent.with_timeout(0.01, sleep, 1))" |
        $tree/bin/gevent repl -q | grep timeout
    done
    luarocks --lua-version 5.4 --tree /tmp/two remove gevent
    test ! -e /tmp/two/bin/gevent'
}

# Installed, used from elsewhere, removed without a trace.
step_deb() {
  inside "$get curl && make deb && cp build/lua-gevent_*.deb /tmp" && inside '
    cd /tmp && mkdir -p site && echo "I am here" >site/hello.txt
    find /usr /etc -newer /usr/sbin/policy-rc.d -path "*gevent*" >before
    apt-get -q -y install ./lua-gevent_*.deb
    gevent --version
    lua5.4 -e "print(require(\"gevent\").version)"
    lua5.4 /usr/share/doc/lua-gevent/examples/timeout.lua
    gevent serve --bind unix:/tmp/http.sock site &
    for i in 1 2 3 4 5 6 7 8 9 10; do test -S http.sock && break; sleep 1; done
    curl -sS --unix-socket http.sock http://localhost/hello.txt >answer
    kill $!
    wait $!
    grep "I am here" answer
    apt-get -q -y remove lua-gevent
    find /usr /etc -newer /usr/sbin/policy-rc.d -path "*gevent*" >after
    cmp before after
    test ! -e /usr/bin/gevent'
}

inside "apt-get -q update && $get make"
failed=
for step in "${@:-demo test rock deb}"; do
  for name in $step; do
    echo "== $name"
    if "step_$name"; then
      echo "ok: $name"
    else
      echo "FAILED: $name"
      failed="$failed $name"
    fi
  done
done
test -z "$failed" || {
  echo "chroot: failed:$failed"
  exit 1
}
echo 'chroot: all right'
