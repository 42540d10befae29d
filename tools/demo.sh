#!/bin/bash
# SPDX-License-Identifier: MIT
# demo.sh - the main job on the emulated TrustZone machine, then one attack of each kind; where the machine cannot be built,
# says why and runs on the host. Exit status: the first that is not 0.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
isthmus=$root/.venv/bin/isthmus report=$root/demo.html machine=qemu
trap 'exit 130' INT

printf 'demo: building firmware, secure payload, driver and guest (kept for the next time)\n' >&2
if ! why=$("$isthmus" build 2>&1 >/dev/null); then
    printf 'demo: no TrustZone machine here, so on the host machine: %s\n' "${why#isthmus: }" >&2
    machine=host
fi
"$isthmus" check --machine "$machine" --report "$report" && exec "$isthmus" attack --machine "$machine" --short --no-controls
