# SPDX-License-Identifier: MIT
"""The monitor's files on this computer, over doubles of TF-A: who may ask what in which state, what is done
about it in which order, and that the lock is given back; for boards of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from core_programs import run
from monitor_programs import BOARDS, MONITOR, build


@pytest.mark.parametrize("board", BOARDS)
def test_every_unit_holds(board: str, tmp_path: Path) -> None:
    run(build(tmp_path, board))


def test_a_call_that_keeps_the_lock_is_found(tmp_path: Path) -> None:
    text = (MONITOR / "dispatcher.c").read_text()
    was = "    lock_give(&monitor.lock);\n    SMC_RET1(handle, (uint64_t)result);"
    assert text.count(was) == 1
    changed = tmp_path / "changed" / "dispatcher.c"
    changed.parent.mkdir()
    changed.write_text(text.replace(was, "    SMC_RET1(handle, (uint64_t)result);"))
    with pytest.raises(pytest.fail.Exception, match=r"lock"):
        run(build(tmp_path, "shared, two cores", changed))
