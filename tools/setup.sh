#!/bin/bash
# SPDX-License-Identifier: MIT
# setup.sh [--test|--bench] - makes .venv/bin/isthmus out of a fresh clone on Debian 12; what is there is left alone. What the
# emulated TrustZone machine needs comes along where it can be had; without it set-up goes on, and says so.
#   --test   also what the tests need: that machine, clang with its sanitizers, pytest and the checkers
#   --bench  also the peers that isthmus bench compares with
# Speaks on standard error only. Exit status 2 and one line where something is missing that it cannot install.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
python=/usr/bin/python3 # Debian's own, whatever stands first in PATH
run_packages=(python3-venv python3-dev gcc libc6-dev make iproute2 iputils-ping curl iperf)
machine_packages=(qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross device-tree-compiler) # TrustZone, under QEMU
test_packages=(clang libclang-rt-14-dev git)
bench_packages=(pkg-config libzmq3-dev libdpdk-dev)

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
    printf 'setup: %s\n' "$*" >&2
    exit 2
}
cause() { # the line of a log that says most: the compiler's, else a client's, else the last
    {
        grep -m1 -E '[^ ]: (fatal )?error: ' "$1" || grep -m1 -E '^ *(ERROR|E|error): ' "$1" || tail -n 1 "$1"
    } | sed 's/^ *//'
}

trap 'exit 130' INT

level=run
packages=("${run_packages[@]}")
case "${1-}" in
'') ;;
--test)
    level=test
    packages+=("${machine_packages[@]}" "${test_packages[@]}")
    machine_packages=()
    ;;
--bench)
    level=bench
    packages+=("${bench_packages[@]}")
    ;;
*) die "unknown option $1; usage: tools/setup.sh [--test|--bench]" ;;
esac

# ---- the system -------------------------------------------------------------------------------------------------

system=$(. /etc/os-release 2>/dev/null && printf '%s %s' "${ID-}" "${VERSION_ID-}") || system=
[ "$system" = "debian 12" ] || die "supported is Debian 12; this is ${system:-an unknown system}"

lacking() { # those of the packages that are not installed
    local package state
    for package in "$@"; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=
        [ "$state" = installed ] || printf '%s\n' "$package"
    done
}

mapfile -t missing < <(lacking "${packages[@]}")
mapfile -t wished < <(lacking "${machine_packages[@]}")
needed=("${missing[@]}" "${wished[@]}")
as_root=()
if [ "$(id -u)" = 0 ]; then
    as_root=(env)
elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n env)
fi

if [ ${#needed[@]} -gt 0 ] && [ ${#as_root[@]} = 0 ]; then
    [ ${#missing[@]} = 0 ] || die "missing packages; as root: apt-get install ${needed[*]}"
    say "no TrustZone machine without these; as root: apt-get install ${wished[*]}"
elif [ ${#needed[@]} -gt 0 ]; then
    apt() { # shows one line per package, keeps the rest for a failure
        "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 "$@" 2>&1 </dev/null |
            tee "$log" | sed -un 's/^\(Setting up [^ ]*\).*/setup: \1/p' >&2
    }
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    say "installing with apt-get: ${needed[*]}"
    if ! apt install --no-install-recommends "${needed[@]}"; then
        say "apt-get update (the package lists are missing or out of date)"
        apt update || true
        [ ${#missing[@]} = 0 ] || apt install --no-install-recommends "${missing[@]}" ||
            die "apt-get install ${missing[*]} failed: $(cause "$log")"
        [ ${#wished[@]} = 0 ] || apt install --no-install-recommends "${wished[@]}" ||
            say "no TrustZone machine: apt-get install ${wished[*]} failed: $(cause "$log")"
    fi
fi

# ---- the Python environment ---------------------------------------------------------------------------------------

exec 9<"$root"
flock 9 # two set-ups of one checkout take turns

stamp() { # prints what a finished step depends on: names and contents
    printf '%s\n' "$root" "$("$python" -VV)"
    cat -- "$@"
}
digest() { sha256sum | cut -d' ' -f1; }
same() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

pip() { # one line per package that is fetched
    .venv/bin/python -m pip --disable-pip-version-check install --progress-bar off "$@" 2>&1 </dev/null |
        tee .venv/pip.log | sed -un 's/^Collecting \([^ ;]*\).*/setup: fetching \1/p' >&2 ||
        die "pip failed: $(cause .venv/pip.log)"
}

# The console script names the interpreter by its full path, so a checkout that moved gets a new environment.
if [ "$(cat .venv/root 2>/dev/null)" != "$root" ] || ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    say "creating .venv with $("$python" -V)"
    rm -rf .venv
    "$python" -m venv .venv
    printf '%s\n' "$root" >.venv/root
fi

want=$(stamp pyproject.toml setup.py tools/setup.sh | digest)
mapfile -t sources < <(ls core/*.[ch] host/*.[ch] src/isthmus/_native/*.[ch] worlds/secure/port/*.h 2>/dev/null)
native=$(stamp setup.py "${sources[@]}" | digest)

declare -A extras=([run]=report,attack [test]=dev [bench]=bench,report,attack)
done=$level
[ $level != run ] || for done in run test bench; do same .venv/done.$done "$want" && break; done # the others have all of it
if ! same ".venv/done.$done" "$want"; then
    say "installing the Python packages"
    pip 'setuptools>=77'
    rm -rf build/temp.*
    pip --no-build-isolation -e ".[${extras[$level]}]"
    printf '%s\n' "$want" >.venv/done.$level
    printf '%s\n' "$native" >.venv/done.native
fi

if ! same .venv/done.native "$native"; then
    say "compiling the extension"
    .venv/bin/python setup.py -q build_ext --inplace --force >.venv/native.log 2>&1 </dev/null ||
        die "the extension does not compile: $(cause .venv/native.log)"
    printf '%s\n' "$native" >.venv/done.native
fi
