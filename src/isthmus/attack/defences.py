# SPDX-License-Identifier: MIT
"""Defences of the core, each with the change of its source that takes it out.

A positive control runs against a test build in which one of them is gone. No product has such a switch: the
change is made to a copy of the source, which must hold the text exactly once.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from isthmus.build import build_program, cache
from isthmus.build.program import Unit
from isthmus.errors import EnvironmentProblem
from isthmus.resources import tree

__all__ = ["DEFENCES", "Defence", "stage_library", "without_defence"]


class Defence(NamedTuple):
    """One statement of a file, and what it becomes without the defence."""

    file: str
    was: str
    becomes: str
    folder: str = "core"


_PAYLOAD = "rx->peer + r->at + IST_REC_PAYLOAD"

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
        "const struct record r = {ist_record_at(rx->tail, rx->ring),",
        "const struct record r = {ist_record_at(ist_load(rx->own, IST_CTL_TAIL), rx->ring),",
    ),
    "one load of the length": Defence(
        "guard.c",
        f"ist_copy_in(dst, {_PAYLOAD}, r->length);",
        f"ist_copy_in(dst, {_PAYLOAD}, ist_load(rx->peer, r->at + IST_REC_LENGTH));",
    ),
    "tag over the copy": Defence(
        "guard.c",
        f"ist_tag_copy(&t, dst, {_PAYLOAD}, r->length, e->copy_crc);",
        f"ist_copy_in(dst, {_PAYLOAD}, r->length);\n"
        f"    IST_COPYING({_PAYLOAD}, r->length);\n"
        f"    ist_tag_feed(&t, {_PAYLOAD}, r->length);",
    ),
    "private features": Defence(
        "guard.c",
        "ist_check_meta(&r->meta, length, e->agreed, c->tag)",
        "ist_check_meta(&r->meta, length, ist_load(rx->peer, IST_CTL_FEATURES), IST_TAG_CRC32C)",
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
    "silence": Defence("session.c", "return e->config.silence != 0 &&", "return 0 &&"),
    "budget": Defence("guard.c", "if (rx->budget.interval != 0 &&", "if (0 &&"),
    "full ring": Defence(
        "ring.c",
        "        if (*size > free_bytes(tx)) {\n            e->count",
        "        if (0) {\n            e->count",
    ),
    "zeroed padding": Defence("ring.c", "if ((length & (IST_ALIGN - 1u)) != 0 || full != length)", "if (0)"),
    "filter": Defence("guard.c", "if (e->filter) {", "if (0) {"),
    "one-shot doorbell": Defence("bell.h", "b->deaf = 1;", "b->deaf = 0;", "worlds/secure/host"),
}

_C = ("-std=c11", "-O1", "-fPIC", "-DIST_TEST_HOOKS", "-w")


def stage_library(without: str | None = None) -> Path:
    """native/stage.c and the core as a shared library, without one of DEFENCES. Raises EnvironmentProblem."""
    core = tree() / "core"
    stage = Path(__file__).parent / "native" / "stage.c"
    unit = Unit([stage, *sorted(core.glob("*.c"))], [core], _C)
    units = [unit] if without is None else without_defence(unit, without)
    return build_program("stage.so", (), ldflags=("-shared",), more=units)


def without_defence(unit: Unit, name: str) -> list[Unit]:
    """The unit with one of DEFENCES taken out of the core's file that has it. Raises EnvironmentProblem."""
    folder = tree() / DEFENCES[name].folder
    changed = _changed(folder, DEFENCES[name])
    if changed.suffix == ".c":
        touched = [p for p in unit.sources if p == folder / changed.name]
        instead = replace(unit, sources=[changed])
    else:
        include = f'#include "{changed.name}"'
        headers = [p.name for p in folder.glob("*.h") if include in p.read_text(encoding="utf-8")]
        includes = [include, *(f'#include "{name}"' for name in headers)]
        touched = [p for p in unit.sources if any(i in p.read_text(encoding="utf-8") for i in includes)]
        flags = [*unit.cflags, "-include", str(changed)]  # its guard keeps the original out
        instead = replace(unit, sources=touched, cflags=flags)
    return [replace(unit, sources=[p for p in unit.sources if p not in touched]), instead]


def _changed(folder: Path, defence: Defence) -> Path:
    """The defence's file with its statement changed, in the cache."""
    text = (folder / defence.file).read_text(encoding="utf-8")
    if text.count(defence.was) != 1:
        where = f"{defence.folder}/{defence.file}"
        raise EnvironmentProblem(f"{where} does not say {defence.was!r} once: no control")
    text = text.replace(defence.was, defence.becomes)
    place = cache.folder("attack") / hashlib.sha256(text.encode()).hexdigest()[:32]
    if not (place / defence.file).is_file():
        place.mkdir(parents=True, exist_ok=True)
        made = place / f"{defence.file}.new"
        made.write_text(text, encoding="utf-8")
        made.rename(place / defence.file)
    return place / defence.file
