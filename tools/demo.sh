#!/bin/bash
# SPDX-License-Identifier: MIT
# demo.sh - the main job on the emulated TrustZone machine; where it cannot be built, says why and runs on the host.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
isthmus=$root/.venv/bin/isthmus report=$root/demo.html
trap 'exit 130' INT

printf 'demo: building firmware, secure payload, driver and guest (kept for the next time)\n' >&2
if why=$("$isthmus" build 2>&1 >/dev/null); then
    exec "$isthmus" check --machine qemu --report "$report"
fi
printf 'demo: no TrustZone machine here, so on the host machine: %s\n' "${why#isthmus: }" >&2
exec "$isthmus" check --machine host --report "$report"
