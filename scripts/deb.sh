#!/bin/sh
# Makes a Debian package of what `make` has built: build/lua-gevent_*.deb. It
# is installed by `apt install ./FILE`, which gets the libraries too, and
# removed by `apt remove lua-gevent`. Needs dpkg-deb, and objdump or readelf.
#
#   deb.sh VERSION     (`make deb` calls it, and gives MAKE)

set -eu

version=$1
arch=$(dpkg --print-architecture)
triplet=$(dpkg-architecture -q DEB_HOST_MULTIARCH 2>/dev/null ||
  gcc -print-multiarch)
core=build/gevent/_core.so
root=build/deb
out=build/lua-gevent_${version}_$arch.deb

rm -rf "$root"
${MAKE:-make} install DESTDIR="$root" PREFIX=/usr \
  INST_LIBDIR="/usr/lib/$triplet/lua/5.4" LUA_BIN=lua5.4 >/dev/null
strip --strip-unneeded "$root/usr/lib/$triplet/lua/5.4/gevent/_core.so"

doc=$root/usr/share/doc/lua-gevent
mkdir -p "$doc" "$root/DEBIAN"
cp README.md "$doc/"
cp -r docs examples types "$doc/"
cp LICENSE "$doc/copyright"
gzip -9nc CHANGELOG.md >"$doc/changelog.gz"

# ---- which packages have the libraries --------------------------------------

needed() { # FILE
  { objdump -p "$1" 2>/dev/null || readelf -d "$1"; } |
    sed -n 's/.*NEEDED[^a-z]*\([^] ]*\).*/\1/p' | grep -v '^ld-'
}

file_of() { # SONAME
  ldd "$core" | awk -v name="$1" '$1 == name { print $3 }'
}

# The database may know a file by its path before /lib became /usr/lib.
package_of() { # FILE
  real=$(readlink -f "$1")
  for path in "$1" "$real" "${1#/usr}" "${real#/usr}"; do
    owner=$(dpkg -S "$path" 2>/dev/null | sed -n '1s/:.*//p')
    test -n "$owner" && echo "$owner" && return
  done
  echo "deb: no package has $1" >&2
  return 1
}

depends='lua5.4'
for name in $(needed "$core"); do
  package=$(package_of "$(file_of "$name")")
  # Of the version that it was built with, what tells the interface.
  version_of=$(dpkg-query -W -f '${Version}\n' "$package" | head -1 |
    sed 's/^\([0-9:]*\.[0-9]*\).*/\1/')
  case ", $depends," in
    *", $package ("*) ;;
    *) depends="$depends, $package (>= $version_of)" ;;
  esac
done

# ---- the package ------------------------------------------------------------

cat >"$root/DEBIAN/control" <<END
Package: lua-gevent
Version: $version
Architecture: $arch
Maintainer: The gevent for Lua authors <lua-gevent@localhost>
Section: interpreters
Priority: optional
Depends: $depends
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Description: greenlets, cooperative sockets and servers for Lua 5.4
 What gevent is to Python: write plain blocking code, and let thousands of
 greenlets run it at once on one event loop. Sockets, TLS, DNS, HTTP server and
 client, WebSocket, subprocesses, threads, and the command "gevent".
END

chmod -R u+rwX,go+rX,go-w "$root"
dpkg-deb --root-owner-group -Zxz --build "$root" "$out" >/dev/null
echo "$out"
