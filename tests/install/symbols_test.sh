#!/usr/bin/env bash
# The shared library exports exactly the functions of symbols.txt, the headers declare exactly these,
# and every global symbol of the static library carries our prefix, so that it cannot collide with a
# symbol of the program that links it. A symbol that leaves the list breaks programs: see CHANGELOG.
#
# usage: symbols_test.sh LIBAUTOGLM.so LIBAUTOGLM.a
set -euo pipefail
shared=$1
static=$2
list=$(dirname "$0")/symbols.txt
failed=0

compare() { # WHAT FILE-WITH-NAMES
    if ! diff -u "$list" "$2"; then
        echo "$1 differ from tests/install/symbols.txt (- the list, + $1)"
        failed=1
    fi
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export LC_ALL=C

nm -D --defined-only --format=posix "$shared" | awk '{print $1}' | sort >"$tmp/exported"
compare "exported symbols" "$tmp/exported"

# Declarations marked AG_API, as the compiler sees them.
printf '#include <autoglm/%s>\n' embed.h engine.h error.h models.h request.h version.h |
    cc -E -P -DAG_BUILD -Iinclude -x c - | tr '\n' ' ' | tr ';' '\n' |
    grep 'visibility("default")' | grep -oE '\bag_[a-z0-9_]+ *\(' | tr -d ' (' | sort -u >"$tmp/declared"
compare "functions declared AG_API" "$tmp/declared"

nm -g --defined-only --format=posix "$static" 2>/dev/null |
    awk 'NF > 1 && $1 !~ /^(ag_|__)/ {print $1}' | sort -u >"$tmp/strangers"
if [ -s "$tmp/strangers" ]; then
    echo "global symbols of the static library without the prefix ag_:"
    cat "$tmp/strangers"
    failed=1
fi
echo "$(wc -l <"$list") symbols"
exit $failed
