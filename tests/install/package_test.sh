#!/usr/bin/env bash
# cpack makes a .tar.gz and a .deb: what is in them runs, and the .deb asks for exactly the libraries
# that its binaries load.
#
# usage: package_test.sh BUILD
set -euo pipefail
build=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cpack --config "$build/CPackConfig.cmake" -G "TGZ;DEB" -B "$tmp" >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }

fail() { echo "$*"; exit 1; }
mkdir "$tmp/tgz" "$tmp/deb"
tar -xzf "$tmp"/autoglm-*.tar.gz -C "$tmp/tgz" --strip-components=1
"$tmp/tgz/bin/autoglm" version >/dev/null || fail "the command of the .tar.gz does not run"

deb=$(ls "$tmp"/autoglm_*.deb)
dpkg-deb -x "$deb" "$tmp/deb"
"$tmp/deb/usr/bin/autoglm" version
for file in usr/include/autoglm/engine.h usr/lib/libautoglm.so usr/share/man/man1/autoglm.1; do
    [ -e "$tmp/deb/$file" ] || fail "not in the .deb: $file"
done
grep -q '^ExecStart=/usr/bin/autoglm serve' "$tmp/deb/usr/lib/systemd/system/autoglm.service" ||
    fail "the unit in the .deb does not start /usr/bin/autoglm"

# libjansson.so.4 is in libjansson4, libsqlite3.so.0 in libsqlite3-0.
readelf -d "$tmp/deb/usr/bin/autoglm" "$tmp"/deb/usr/lib/libautoglm.so.*.*.* |
    sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sed -E '/^(ld-linux.*|libm\.so.*)$/d
        s/^libc\.so.*/libc6/
        s/^libcurl-gnutls\.so\.4$/libcurl3-gnutls/
        s/^(lib[^.]*[0-9])\.so\.([0-9]+)$/\1-\2/
        s/^(lib[^.]*)\.so\.([0-9]+)$/\1\2/' | sort -u >"$tmp/needed"
dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed 's/(.*//; s/ //g' | sort -u >"$tmp/declared"
diff "$tmp/needed" "$tmp/declared" || fail "libraries loaded (<) differ from those declared (>)"
ls -s --block-size=K "$tmp"/autoglm[-_]*
