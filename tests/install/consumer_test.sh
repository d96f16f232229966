#!/usr/bin/env bash
# Install into an empty folder, move that folder elsewhere, and use it as a stranger would: the
# command runs, every file is where it belongs, and the examples build through pkg-config (shared and
# static) and through CMake's find_package. With a model they are run as well.
#
# usage: consumer_test.sh BUILD CC CMAKE [MODEL]
set -euo pipefail
build=$1 cc=$2 cmake=$3 model=${4:-}
source=$PWD
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

"$cmake" --install "$build" --prefix "$tmp/first" >"$tmp/install.log" || { cat "$tmp/install.log"; exit 1; }
mv "$tmp/first" "$tmp/moved"
prefix=$tmp/moved
lib=$(dirname "$(find "$prefix" -name libautoglm.so)")

fail() { echo "$*"; exit 1; }
for file in bin/autoglm include/autoglm/engine.h share/man/man1/autoglm-run.1 \
    share/bash-completion/completions/autoglm share/zsh/site-functions/_autoglm \
    share/fish/vendor_completions.d/autoglm.fish share/doc/autoglm/LICENSE \
    share/doc/autoglm/README.md share/doc/autoglm/examples/chat.c; do
    [ -s "$prefix/$file" ] || fail "not installed: $file"
done
[ -s "$lib/libautoglm.a" ] || fail "not installed: libautoglm.a"
# A unit names the program by its whole path; it is tested in service_test.sh.
if grep -rlI --exclude=autoglm.service -e "$source" -e "$tmp/first" "$prefix"; then
    fail "the files above name the folder they were built in"
fi
"$prefix/bin/autoglm" version

export PKG_CONFIG_PATH=$lib/pkgconfig
header_version=$(sed -nE 's/#define AG_VERSION_(MAJOR|MINOR|PATCH) ([0-9]+)/\2/p' include/autoglm/version.h | paste -sd.)
[ "$(pkg-config --modversion autoglm)" = "$header_version" ] || fail "autoglm.pc: another version"

warn="-std=c11 -D_DEFAULT_SOURCE -Wall -Wextra -Werror"
mkdir "$tmp/shared" "$tmp/static"
for example in "$source"/examples/*.c; do
    name=$(basename "$example" .c)
    # shellcheck disable=SC2046,SC2086  # flags are meant to split
    "$cc" $warn "$example" $(pkg-config --cflags --libs autoglm) -pthread -o "$tmp/shared/$name"
    # The archive by its name: -lautoglm would prefer the shared library beside it.
    # shellcheck disable=SC2046,SC2086
    "$cc" $warn "$example" $(pkg-config --cflags autoglm) "$lib/libautoglm.a" \
        $(pkg-config --static --libs-only-l autoglm | sed 's/-lautoglm//') -pthread -o "$tmp/static/$name"
    echo "built $name through pkg-config, shared and static"
done

mkdir "$tmp/project"
cat >"$tmp/project/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(consumer C)
find_package(Threads REQUIRED)
find_package(autoglm 0.1 REQUIRED COMPONENTS static)
file(GLOB examples ${EXAMPLES}/*.c)
foreach(file ${examples})
  get_filename_component(name ${file} NAME_WE)
  add_executable(${name} ${file})
  target_link_libraries(${name} PRIVATE autoglm::autoglm Threads::Threads)
  add_executable(${name}_static ${file})
  target_link_libraries(${name}_static PRIVATE autoglm::autoglm_static Threads::Threads)
endforeach()
CMAKE
"$cmake" -G Ninja -S "$tmp/project" -B "$tmp/project/build" -DCMAKE_C_COMPILER="$cc" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_PREFIX_PATH="$prefix" -DEXAMPLES="$source/examples" >"$tmp/cmake.log" 2>&1 &&
    "$cmake" --build "$tmp/project/build" >>"$tmp/cmake.log" 2>&1 || { cat "$tmp/cmake.log"; exit 1; }
echo "built the examples through find_package(autoglm), shared and static"

export LD_LIBRARY_PATH=$lib
for program in "$tmp"/shared/* "$tmp"/static/*; do
    # Wrong use and a missing file end with a reason, not a crash.
    rc=0
    "$program" 2>"$tmp/err" || rc=$?
    [ $rc = 2 ] || fail "$program without arguments: exit $rc"
    rc=0
    "$program" "$tmp/absent.gguf" hello 2>"$tmp/err" || rc=$?
    { [ $rc = 1 ] && grep -q absent.gguf "$tmp/err"; } || fail "$program, no such model: exit $rc, $(cat "$tmp/err")"
    if [ -n "$model" ] && [ "$(basename "$program")" != embed ]; then # which wants another model
        questions=("Say hello.")
        [ "$(basename "$program")" != batch ] || questions+=("Count to three." "Name a colour.")
        "$program" "$model" "${questions[@]}" >"$tmp/out" 2>"$tmp/err" ||
            fail "$program: exit $?, $(cat "$tmp/err")"
        [ -s "$tmp/out" ] || fail "$program: no answer"
    fi
done
echo "ran the examples${model:+ with a model}"
