# SPDX-License-Identifier: MIT
"""Defences of the core and of the worlds, each with the change of its source that takes it out.

A positive control runs against a test build in which one of them is gone. No product has such a switch: the
change is made to a copy of the source, which must hold the text exactly once.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from isthmus.build import build_program, cache
from isthmus.build.program import Unit
from isthmus.errors import EnvironmentProblem
from isthmus.resources import tree

__all__ = ["DEFENCES", "TOGETHER", "Defence", "changed_files", "stage_library", "without_defence"]


class Defence(NamedTuple):
    """One statement of a file, and what it becomes without. A file without a folder is the core's."""

    file: str
    was: str
    becomes: str


_PAYLOAD = "j->at + IST_REC_PAYLOAD"

DEFENCES = {
    "head range": Defence("check.h", "if (head - seen > ring - (seen - tail))", "if (0)"),
    "head alignment": Defence("check.h", "if (UNALIGNED(head))", "if (0)"),
    "tail range": Defence("check.h", "if (tail - seen > head - seen)", "if (0)"),
    "length limit": Defence("check.h", "if (length > frame_max)", "if (0)"),
    "length minimum": Defence("check.h", "if (length < IST_FRAME_MIN)", "if (0)"),
    "length within head": Defence("check.h", "return *size > available ?", "return 0 ?"),
    "sequence": Defence("check.h", "if (*gap <= slack)", "if (1)"),
    "private cursor": Defence(
        "guard.c",
        "const struct judged j = {record_at(rx),",
        "const struct judged j = {rx->peer + ist_record_at(ist_load(rx->own, IST_CTL_TAIL), rx->ring),",
    ),
    "one load of the length": Defence(
        "guard.c",
        f"ist_copy_in(dst, {_PAYLOAD}, j->length);",
        f"ist_copy_in(dst, {_PAYLOAD}, ist_load(j->at, IST_REC_LENGTH));",
    ),
    "one load of the head": Defence(
        "guard.c", "    rx->head = head;", "    rx->head = ist_load(rx->peer, IST_CTL_HEAD);"
    ),
    "one load of the sequence": Defence(
        "guard.c",
        "    j->at = r.at;",
        "    j->gap = ist_load(r.at, IST_REC_SEQUENCE) - (ist_u32)rx->expected;\n    j->at = r.at;",
    ),
    "one load of the flags": Defence(
        "guard.c",
        "(void *)&j->meta = r.flags | (ist_u64)r.csum << 32;",
        "(void *)&j->meta = ist_load(r.at, IST_REC_FLAGS) |\n"
        "        (ist_u64)ist_load(r.at, IST_REC_CSUM) << 32;",
    ),
    "one load of the state": Defence(
        "session.c",
        "    ist_u32 state = IST_STATE_OF(word);\n    if (own",
        "    ist_u32 state = IST_STATE_OF(ist_load(e->rx.peer, IST_CTL_STATE));\n    if (own",
    ),
    "filter over the copy": Defence(
        "guard.c", "ist_filter_judge(filter, dst,", f"ist_filter_judge(filter, {_PAYLOAD},"
    ),
    "tag over the copy": Defence(
        "guard.c",
        f"ist_tag_copy(&t, dst, {_PAYLOAD}, j->length, e->copy_crc);",
        f"ist_copy_in(dst, {_PAYLOAD}, j->length);\n"
        f"    IST_COPYING({_PAYLOAD}, j->length);\n"
        f"    ist_tag_feed(&t, {_PAYLOAD}, j->length);",
    ),
    "private features": Defence(
        "guard.c",
        "ist_check_meta(&j->meta, r.length, e->agreed, tag)",
        "ist_check_meta(&j->meta, r.length, ist_load(rx->peer, IST_CTL_FEATURES), IST_TAG_CRC32C)",
    ),
    "reserved flags": Defence("check.c", "if ((flags & ~IST_FLAGS_ALL) != 0)", "if (0)"),
    "checksum only under a tag": Defence("check.c", "if (tag == IST_TAG_NONE || ", "if ("),
    "segment size": Defence("check.c", " || m->segment >= length", ""),
    "magic": Defence("check.c", "if (IST_MAGIC_OF(word) != IST_MAGIC)", "if (0)"),
    "version": Defence("check.c", "if (IST_VERSION_OF(word) != IST_VERSION)", "if (0)"),
    "epoch": Defence(
        "session.c",
        "if (ist_load(peer, IST_CTL_EPOCH_LO) != (ist_u32)e->epoch ||",
        "if (0 && ist_load(peer, IST_CTL_EPOCH_LO) != (ist_u32)e->epoch &&",
    ),
    "digest": Defence(
        "session.c",
        "if (ist_load(peer, IST_CTL_DIGEST_LO) != (ist_u32)digest ||",
        "if (0 && ist_load(peer, IST_CTL_DIGEST_LO) != (ist_u32)digest &&",
    ),
    "silence": Defence("session.c", "return e->quiet > e->config.silence;", "return 0;"),
    "budget": Defence("guard.c", "if (rx->budget.interval != 0 &&", "if (0 &&"),
    "full ring": Defence(
        "ring.c",
        "        if (*size > free_bytes(tx)) {\n            e->count",
        "        if (0) {\n            e->count",
    ),
    "zeroed padding": Defence("ring.c", "if ((length & (IST_ALIGN - 1u)) != 0 || full != length)", "if (0)"),
    "no address in a slot": Defence(  # a leak is put in, for the search to find
        "ring.c",
        "length, IST_ROUND(full) - length);\n    *(ist_w64",
        "length, IST_ROUND(full) - length);\n"
        "    if (IST_ROUND(full) - length >= 8)\n"
        "        *(struct ist_endpoint **)(record + IST_REC_PAYLOAD + IST_ROUND(full) - 8) = e;\n"
        "    *(ist_w64",
    ),
    "filter": Defence("guard.c", "if (filter) {", "if (0) {"),
    "one-shot doorbell": Defence("worlds/secure/host/bell.h", "b->deaf = 1;", "b->deaf = 0;"),
    "agreed offloads": Defence("check.c", "if ((agreed & IST_FEATURE_OFFLOAD) == 0)", "if (0)"),
    "budget for groups": Defence(
        "filter.c", "v = take_rate(&f->broadcast, now, IST_V_BROADCAST);", "v = IST_V_OK;"
    ),
    # ---- of the Secure world's runtime
    "no wait for room": Defence(
        "worlds/secure/lwip/isthmusif.c",
        "    v = ist_reserve(ep, p->tot_len, partial_describe(netif, p, &room));\n",
        "    for (int tries = 0; tries < 1 << 16; tries++)\n"
        "        if ((v = ist_reserve(ep, p->tot_len, partial_describe(netif, p, &room))) != IST_V_FULL)\n"
        "            break;\n",
    ),
    "secure priorities": Defence(
        "worlds/secure/runtime/main.c", "gic_init(BOARD_TIMER_PRIORITY,", "gic_init(0xc0,"
    ),
    "priorities refused": Defence(
        "worlds/secure/runtime/gic.h", "return (timer < GIC_PRIORITY_LINUX &&", "return timer || (kick &&"
    ),
    "processor time": Defence(
        "worlds/secure/runtime/schedule.c",
        "threads[NETWORK].cost = BOARD_NETWORK_COST_NS;\n    linux_share.cost = BOARD_NETWORK_COST_NS;",
        "threads[NETWORK].cost = linux_share.cost = 1000000000;",
    ),
    # ---- of the monitor
    "constant refusal": Defence(
        "worlds/monitor/tfa/dispatcher.c",
        "    default:\n        SMC_RET1(handle, SMC_UNK);",
        "    default:\n"
        "        for (volatile u_register_t i = SMC_GET_GP(handle, CTX_GPREG_X1) >> 44; i > 0; i--)\n"
        "            ;\n"
        "        SMC_RET1(handle, SMC_UNK);",
    ),
    "table of buffers": Defence(
        "worlds/monitor/tfa/session.c",
        "static int fits(const struct claim *c)\n{\n",
        "static int fits(const struct claim *c)\n{\n    if (c->channel == 0)\n        return 1;\n",
    ),
    "one session": Defence(
        "worlds/monitor/tfa/session.c",
        "if (s->state == IST_SESSION_SEALED)\n        return IST_SMC_ALREADY;",
        "",
    ),
    "quiescence": Defence(
        "worlds/monitor/tfa/session.c",
        "if (s->state == IST_SESSION_ENDING)\n        return IST_SMC_BUSY;",
        "",
    ),
    "resets about Linux": Defence(
        "worlds/monitor/tfa/power.c", "    ops.system_reset = system_reset;\n", "    (void)system_reset;\n"
    ),
    "powers off Linux": Defence(
        "worlds/monitor/tfa/power.c", "    ops.system_off = system_off;\n", "    (void)system_off;\n"
    ),
    "standby only": Defence(
        "worlds/monitor/tfa/power.c",
        "    ops.validate_power_state = standby_only;\n",
        "    (void)standby_only;\n",
    ),
    "core's power": Defence(
        "worlds/monitor/tfa/power.c",
        "        return PSCI_E_DENIED;\n    lock_take(&monitor.lock);\n    monitor.on &= ~bit;",
        "        (void)unused;\n    lock_take(&monitor.lock);\n    monitor.on &= ~bit;",
    ),
    "doorbell's lanes": Defence(
        "worlds/monitor/tfa/normal.c",
        "if (channel != 0 || lanes == 0 || (lanes & ~(uint64_t)IST_LANES_ALL) != 0)",
        "if (channel != 0)",
    ),
    "caller's world": Defence(
        "worlds/monitor/tfa/normal.c",
        "        return from_either(fid, handle);",
        "        return from_secure(fid, x1, x2, x3, x4, handle);",
    ),
    "doorbell rate": Defence(
        "worlds/monitor/tfa/normal.c",
        "if (!ist_limit_step(&monitor.rate,",
        "if (0 && !ist_limit_step(&monitor.rate,",
    ),
}

#: Taken out in one test build where a machine is to be booted for it. Of each such set every attack comes up
#: against one statement alone: none of the others looks at the field, or the frame, that it lies in.
TOGETHER = (
    ("length limit", "length minimum", "reserved flags", "sequence", "agreed offloads"),
    ("head range", "head alignment", "magic", "version"),
    ("length within head", "digest", "zeroed padding", "no address in a slot"),
)

_C = ("-std=c11", "-O1", "-fPIC", "-DIST_TEST_HOOKS", "-w")


def stage_library(without: str | None = None) -> Path:
    """native/stage.c and the core as a shared library, without one of DEFENCES. Raises EnvironmentProblem."""
    core = tree() / "core"
    stage = Path(__file__).parent / "native" / "stage.c"
    unit = Unit([stage, *sorted(core.glob("*.c"))], [core], _C)
    units = [unit] if without is None else without_defence(unit, without)
    return build_program("stage.so", (), ldflags=("-shared",), more=units)


def without_defence(unit: Unit, *names: str) -> list[Unit]:
    """The unit with some of DEFENCES taken out of the files that have them. Raises EnvironmentProblem."""
    units = [unit]
    for file, changed in changed_files(names).items():
        units = [made for one in units for made in _replaced(one, file, changed)]
    return [one for one in units if one.sources]


def _replaced(unit: Unit, file: Path, changed: Path) -> list[Unit]:
    if file.suffix == ".c":
        touched = [p for p in unit.sources if p == file]
        instead = replace(unit, sources=[changed] if touched else [])
    else:
        include = f'#include "{file.name}"'
        headers = [p.name for p in file.parent.glob("*.h") if include in p.read_text(encoding="utf-8")]
        includes = [include, *(f'#include "{name}"' for name in headers)]
        touched = [p for p in unit.sources if any(i in p.read_text(encoding="utf-8") for i in includes)]
        flags = [*unit.cflags, "-include", str(changed)]  # its guard keeps the original out
        instead = replace(unit, sources=touched, cflags=flags)
    return [replace(unit, sources=[p for p in unit.sources if p not in touched]), instead]


def changed_files(names: Iterable[str]) -> dict[Path, Path]:
    """By the file that has it: the same without these defences, in the cache. Raises EnvironmentProblem."""
    texts: dict[Path, str] = {}
    for taken in (DEFENCES[name] for name in names):
        file = tree() / (taken.file if "/" in taken.file else f"core/{taken.file}")
        text = texts.get(file) or file.read_text(encoding="utf-8")
        if text.count(taken.was) != 1:
            where = file.relative_to(tree())
            raise EnvironmentProblem(f"{where} does not say {taken.was!r} once: no control")
        texts[file] = text.replace(taken.was, taken.becomes)
    return {file: _kept(file.name, text) for file, text in texts.items()}


def _kept(name: str, text: str) -> Path:
    place = cache.folder("attack") / hashlib.sha256(text.encode()).hexdigest()[:32]
    if not (place / name).is_file():
        place.mkdir(parents=True, exist_ok=True)
        made = place / f"{name}.{threading.get_ident()}.{os.getpid()}"
        made.write_text(text, encoding="utf-8")
        made.rename(place / name)
    return place / name
