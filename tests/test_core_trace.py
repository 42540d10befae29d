# SPDX-License-Identifier: MIT
"""What the machine code really loads and stores (tests/c/trace.c): no hook, the flags of the product."""

from __future__ import annotations

import platform

import pytest

from core_programs import COMPILERS, HOST, Defect, build, defective, run

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="core: loads of machine code are traced on x86-64 only"
)


@pytest.mark.parametrize("level", ["-O2", "-O3", "-Os"])
@pytest.mark.parametrize("cc", COMPILERS)
def test_each_word_is_loaded_once(cc: str, level: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    run(build(tmp_path_factory, "trace", level, cc=cc, also=(HOST / "link.c",)))


DEFECTS = {
    "word_read_again": Defect(
        "guard.c",
        "const ist_u32 length = ist_load(at, IST_REC_LENGTH);",
        "const ist_u32 length = *(const volatile ist_u32 *)at; (void)*(const volatile ist_u32 *)at;",
    ),
    "own_word_read_back": Defect(
        "ring.c",
        "tx->published = tx->head;",
        "tx->published = tx->head; (void)*(volatile ist_u32 *)(tx->own + IST_CTL_HEAD);",
    ),
    "word_not_cleared": Defect("session.c", "ist_store(tx->own, IST_CTL_WAKE_RX, 0);", ""),
    "cleared_in_the_open": Defect(
        "session.c", "publish_state(e, IST_RESET);\n    tx->head = ", "tx->head = "
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_noticed(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    program = defective(tmp_path_factory, "trace", DEFECTS[name], "-O2", also=(HOST / "link.c",))
    with pytest.raises(pytest.fail.Exception, match=r"trace\.c:\d+: "):
        run(program)
