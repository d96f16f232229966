#!/usr/bin/env bash
# The service as it is installed: the unit starts the installed program, systemd finds no mistake in it
# and little exposure, and the example of a configuration is one.
#
# usage: service_test.sh BUILD CMAKE
set -euo pipefail
build=$1 cmake=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$cmake" --install "$build" --prefix "$tmp/here" >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }

fail() { echo "$*"; exit 1; }
unit=$tmp/here/lib/systemd/system/autoglm.service
grep -q "^ExecStart=$tmp/here/bin/autoglm serve " "$unit" || fail "it does not start the installed program"
! grep -n '@[A-Z_]*@' "$unit" || fail "something in it was not filled in"
"$tmp/here/bin/autoglm" check "$tmp/here/share/doc/autoglm/autoglm.yml"

if command -v systemd-analyze >/dev/null; then
    systemd-analyze verify --man=no --recursive-errors=no "$unit"
    # In tenths; systemd 252 says 1.5. What is left: addresses, the network, one capability, @resources.
    systemd-analyze security --no-pager --offline=true --threshold=15 "$unit" | tail -n 1
else
    echo "no systemd-analyze here: the unit is not verified"
fi
