#!/usr/bin/env bash
# Each public header compiles alone, as strict C11 and as C++17, with the warnings a careful user has.
# Internal headers stand alone too, in our own dialect, so that a room can be read from its header.
#
# usage: headers_test.sh CC     (CXX from the environment, g++ by default)
set -euo pipefail
cc=$1
cxx=${CXX:-g++}
warn="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror"
failed=0
n=0

for header in include/autoglm/*.h; do
    name=autoglm/$(basename "$header")
    for how in "$cc -std=c11 -Wstrict-prototypes -x c" "$cxx -std=c++17 -Wold-style-cast -x c++"; do
        n=$((n + 1))
        # Twice: the guard works. After it a declaration: nothing in the header is left open.
        # shellcheck disable=SC2086  # flags are meant to split
        if ! printf '#include <%s>\n#include <%s>\nextern int after;\n' "$name" "$name" |
            $how $warn -Iinclude -fsyntax-only -; then
            echo "$name: does not compile alone with: $how"
            failed=1
        fi
    done
done

while IFS= read -r header; do
    n=$((n + 1))
    if ! printf '#include "%s"\nextern int after;\n' "${header#src/}" |
        "$cc" -std=gnu17 -D_GNU_SOURCE -DAG_BUILD -Wall -Wextra -Werror -Wno-unused-function \
            -Iinclude -Isrc -Isrc/engine -Isrc/serve -Isrc/ops -fsyntax-only -x c -; then
        echo "$header: does not compile alone"
        failed=1
    fi
# Kernels for an ISA need its flags, and simd/ holds templates that only such a file can include.
done < <(find src -name '*.h' -not -path '*/x86/*' -not -path '*/arm/*' -not -path '*/simd/*' | sort)
echo "$n compilations"
exit $failed
