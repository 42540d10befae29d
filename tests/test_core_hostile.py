# SPDX-License-Identifier: MIT
"""A hostile peer in every load of shared memory (tests/c/hostile.c), under address and undefined sanitizers.

It changes any control word, record word or payload at any load. The endpoint stays in bounds, keeps to its
stated number of loads, reads no word twice in a call, counts each refusal once under its name, and takes an
honest peer back.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core_programs import COMPILERS, HOOKED, SANITIZED, SOURCES, Defect, build, defective, run

FLAGS = (*SANITIZED, "-O2", HOOKED)
QUICK = ("-g", "-O1", "-fsanitize=address", HOOKED)
GEOMETRIES = re.findall(r'^    \{"(\w+)", \d', (SOURCES / "hostile.c").read_text(), re.MULTILINE)


def exhaust(program: Path, *arguments: str, timeout: float) -> list[str]:
    """Every geometry, two at a time; what each says it did."""
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(run, program, "--only", name, *arguments, timeout=timeout) for name in GEOMETRIES]
    return [future.result() for future in done]


def test_every_change_at_every_load(tmp_path_factory: pytest.TempPathFactory) -> None:
    program = build(tmp_path_factory, "hostile", *FLAGS)
    for name, said in zip(GEOMETRIES, exhaust(program, "--cut", "1", timeout=250), strict=True):
        print(said, end="")
        found = re.fullmatch(rf"{name}: (\d+) loads, (\d+) cases\n", said)
        assert found, said
        assert int(found[1]) > 100
        assert int(found[2]) > 50_000


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("cc", COMPILERS)
def test_every_change_at_every_load_uncut(cc: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    exhaust(build(tmp_path_factory, "hostile", *FLAGS, cc=cc), timeout=1800)


@pytest.mark.parametrize("cc", COMPILERS)
def test_random_runs(cc: str, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    run(build(tmp_path_factory, "hostile", *FLAGS, cc=cc), "--random", "20000", "--seed", str(seed))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_random_runs(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    program = build(tmp_path_factory, "hostile", *FLAGS, cc="clang")
    run(program, "--random", "3000000", "--seed", str(seed), timeout=1700)


# ---- positive controls: each defence taken out is noticed ---------------------------------------


DEFECTS = {
    "head_range": Defect("check.h", "if (head - seen > ring - (seen - tail))", "if (0)"),
    "head_align": Defect("check.h", "if (UNALIGNED(head))", "if (0)"),
    "tail_range": Defect("check.h", "if (tail - seen > head - seen)", "if (0)"),
    "tail_align": Defect("check.h", "if (UNALIGNED(tail))", "if (0)"),
    "length_long": Defect("check.h", "if (length > frame_max)", "if (0)"),
    "length_short": Defect("check.h", "if (length < IST_FRAME_MIN)", "if (length == 0)"),
    "length_overrun": Defect("check.h", "return *size > available ?", "return 0 ?"),
    "sequence": Defect("check.h", "if (*gap <= slack)", "if (1)"),
    "state_word": Defect("check.c", "IST_STATE_OF(word) < IST_STATES ?", "1 ?"),
    "offload": Defect("check.c", "if ((agreed & IST_FEATURE_OFFLOAD) == 0)", "if (0)"),
    "length_loaded_twice": Defect(
        "guard.c",
        "const ist_u32 length = rx->length;",
        "const ist_u32 length = ist_load(rx->peer, ist_record_at(rx->tail, rx->ring) + IST_REC_LENGTH);",
    ),
    "head_loaded_twice": Defect(
        "guard.c", "rx->head = head;", "rx->head = ist_load_acquire(rx->peer, IST_CTL_HEAD);"
    ),
    "unbounded_poll": Defect(
        "session.c",
        "ist_u32 state = IST_STATE_OF(word);",
        "while (IST_STATE_OF(word) == IST_INIT && ist_load(e->rx.peer, IST_CTL_STATE) == word)\n        ;\n"
        "    ist_u32 state = IST_STATE_OF(word);",
    ),
    "no_progress": Defect("guard.c", "size = rx->head - rx->tail;", "size = 0;"),
    "counted_twice": Defect("guard.c", "e->count[why]++;", "e->count[why] += 2;"),
    "sleeps_on_a_dead_link": Defect("guard.c", " || ist_state_get(e) != IST_RUN;", ";"),
    "tag_ignored": Defect("guard.c", "return differs == 0 ?", "return 1 ?"),
    "never_dead": Defect("session.c", "leave(e, IST_DEAD, why);", "e->count[why]++;"),
    "reads_back": Defect(
        "ring.c",
        "ist_tag_seal(&tx->tagger,",
        "ist_tag_start(&tx->tagger, e->config.tag, e->key);\n"
        "    ist_u8 back[65536];\n"
        "    ist_copy_in(back, payload_of(e), full);\n"
        "    ist_tag_feed(&tx->tagger, back, full);\n"
        "    ist_tag_seal(&tx->tagger,",
    ),
}


#: The geometry whose cases have to notice; for the others the first.
NOTICED_BY = {"offload": "wrap", "tag_ignored": "crc", "reads_back": "crc"}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_missing_defence_is_noticed(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    program = defective(tmp_path_factory, "hostile", DEFECTS[name], *QUICK)
    with pytest.raises(pytest.fail.Exception) as first:
        run(program, "--cut", "1", "--only", NOTICED_BY.get(name, GEOMETRIES[0]))
    case = re.search(r"replay: --case (\S+)", str(first.value))
    if case:  # the id replays that case alone; a defect that shows without any hostility has none
        with pytest.raises(pytest.fail.Exception, match=re.escape(case[1])):
            run(program, "--case", case[1])
