# SPDX-License-Identifier: MIT
"""Both halves of both endpoints in threads of their own (tests/c/threads.c), under the thread sanitizer."""

from __future__ import annotations

import pytest

from core_programs import COMPILERS, HOST, Defect, build, defective, run

#: gcc warns that the sanitizer does not model fences; the frames' order does not rest on one, sleeping does.
SANITIZED = {
    "gcc": ("-g", "-O1", "-fsanitize=thread", "-Wno-tsan", "-pthread"),
    "clang": ("-g", "-O1", "-fsanitize=thread", "-pthread"),
}
FAST = ("-O2", "-pthread")
ALSO = (HOST / "link.c",)
NONE, CRC32C = "0", "1"


@pytest.mark.parametrize("ways", ["1", "2"])
@pytest.mark.parametrize("fence", ["core", "peer"])
@pytest.mark.parametrize("wait", ["spin", "sleep", "mixed"])
@pytest.mark.parametrize("cc", COMPILERS)
def test_no_race(
    cc: str, wait: str, fence: str, ways: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    program = build(tmp_path_factory, "threads", *SANITIZED[cc], cc=cc, also=ALSO)
    for tag in (NONE, CRC32C):
        run(program, "6000", str(seed), wait, fence, ways, tag)


@pytest.mark.parametrize("fence", ["core", "peer"])
@pytest.mark.parametrize("wait", ["sleep", "mixed"])
def test_no_wake_up_is_lost(
    wait: str, fence: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """At full speed, where processors reorder: many sleeps, and every frame arrives."""
    program = build(tmp_path_factory, "threads", *FAST, also=ALSO)
    said = run(program, "500000", str(seed), wait, fence, "2", NONE)
    assert int(said.split()[4]) > 1000, f"hardly slept: {said}"


@pytest.mark.parametrize("cc", COMPILERS)
def test_both_halves_may_find_the_violation(
    cc: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    program = build(tmp_path_factory, "threads", *SANITIZED[cc], cc=cc, also=ALSO)
    run(program, "100000000", str(seed), "spin", "core", "2", NONE, "5000")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("fence", ["core", "peer"])
@pytest.mark.parametrize("cc", COMPILERS)
def test_no_wake_up_is_lost_in_a_long_run(
    cc: str, fence: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    program = build(tmp_path_factory, "threads", *FAST, cc=cc, also=ALSO)
    run(program, "40000000", str(seed), "mixed", fence, "2", NONE, timeout=1100)


DEFECTS = {
    "head": Defect("ring.c", "ist_store_release(tx->own, IST_CTL_HEAD", "ist_store(tx->own, IST_CTL_HEAD"),
    "tail": Defect("guard.c", "ist_store_release(rx->own, IST_CTL_TAIL", "ist_store(rx->own, IST_CTL_TAIL"),
    "state": Defect(
        "shared.h", "(&e->state, state, __ATOMIC_RELEASE)", "(&e->state, state, __ATOMIC_RELAXED)"
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_missing_order_is_noticed(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    program = defective(tmp_path_factory, "threads", DEFECTS[name], *SANITIZED["gcc"], also=ALSO)
    with pytest.raises(pytest.fail.Exception, match="data race"):
        run(program, "20000", "1", "spin", "core", "2", NONE)


def test_a_lost_wake_up_is_noticed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A doorbell that never rings: the watchdog says who slept on what."""
    silent = Defect("inner.h", "(wake & IST_WAKE_ARMED) != 0", "(wake & IST_WAKE_ARMED) > 1")
    program = defective(tmp_path_factory, "threads", silent, *FAST, "-DPATIENCE=1", also=ALSO)
    with pytest.raises(pytest.fail.Exception, match=r"a wake-up was lost\n(.*\n)*.*waits for a frame"):
        run(program, "200000", "1", "sleep", "core", "2", NONE)
