# SPDX-License-Identifier: MIT
"""What was seen while an attack went on: from the Secure world's status before and after it, the control
task's record, and the log of somebody who means well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from isthmus import _native
from isthmus.attack.catalogue import Evidence

__all__ = ["ANSWERS", "arrived", "difference", "evidence", "full", "late", "out_of_touch", "over", "returned"]

Status = Mapping[str, Any]

ANSWERS = ("OK", "EMPTY", "DOWN", "FULL", "BUDGET")  # refuse nothing
AFTERMATH = ("PEER_LEFT", "PEER_EPOCH", "PEER_DEAD")  # what follows an end of the session
_NAMES = [name for name, _ in _native.VERDICTS if name not in (*ANSWERS, *AFTERMATH)]
_NONE = 0xFFFFFFFF


def arrived(status: Status) -> int:
    """Setpoints that the critical application was given."""
    return int(next(flow["frames"] for flow in status["app"]["flows"] if flow["name"] == "setpoints"))


def difference(before: Status, after: Status) -> dict[str, int]:
    """The counters of refusals that moved, of all lanes together."""
    moved = {name: _counted(after, name) - _counted(before, name) for name in _NAMES}
    return {name: n for name, n in moved.items() if n}


def _counted(status: Status, name: str) -> int:
    lanes: Mapping[str, Status] = status.get("lanes", {})
    return int(status["counters"][name]) + sum(int(lane["counters"][name]) for lane in lanes.values())


def full(status: Status) -> int:
    """Frames that found no room in the peer's ring, of any lane."""
    return _counted(status, "FULL")


def over(status: Status) -> int:
    """Windows with more work than the bound, of any lane."""
    return int(status["work"]["over"]) + sum(int(w["over"]) for w in status.get("lane_work", {}).values())


def late(before: Status, after: Status) -> dict[str, int]:
    """By task: periods that were missed or skipped. The task inside skips what comes too soon."""
    was = {task["name"]: task for task in before["critical"]["tasks"]}
    found = {}
    for task in after["critical"]["tasks"]:
        names = ("missed",) if task["runs"] == "inside" else ("missed", "skipped")
        n = sum(task[name] - was[task["name"]][name] for name in names)
        if n:
            found[task["name"]] = n
    return found


def evidence(
    before: Status, record: Iterable[Mapping[str, Any]], ends: Iterable[Mapping[str, Any]], log: str
) -> tuple[Evidence, list[int]]:
    """What is drawn; and of each setpoint how often the link had been lost or found."""
    found, changes = Evidence(), []
    step = before["critical"]["period_us"] / 1e6
    began = before["critical"]["periods"] * step
    tasks = before["critical"]["tasks"]
    found.deadlines = {task["name"]: task["deadline_us"] for task in tasks}
    names = {task["runs"]: task["name"] for task in tasks if task["runs"] != "above"}
    above = next(task["name"] for task in tasks if task["runs"] == "above")
    found.responses = {name: [] for name in found.deadlines}
    for line in ends:
        for runs, name in names.items():
            pairs = zip(line[runs][::2], line[runs][1::2], strict=True)
            times = [(round((at - line["born_ns"]) / 1e9 - began, 4), ns / 1e3) for at, ns in pairs]
            found.responses[name] += [(at, us) for at, us in times if at >= 0]
    for line in record:
        numbers = line["periods"]
        for i in range(0, len(numbers), 4):
            begun, done, taken = numbers[i], numbers[i + 1], numbers[i + 2]
            at = (line["first"] + i // 4 - before["critical"]["periods"]) * step
            us = (None, None) if begun == _NONE else (begun / 1e3, done / 1e3)
            found.periods.append((round(at, 4), *us, taken))
            if us[1] is not None:
                found.responses[above].append((round(at, 4), us[1]))
    first = None
    for sample in log.splitlines():
        sent, took, changed = (int(word) for word in sample.split())
        first = sent if first is None else first
        found.flow.append(((sent - first) / 1e9, None if took < 0 else took / 1e3))
        changes.append(changed)
    return found, changes


def returned(times: Sequence[float | None], changes: Sequence[int], most_us: int) -> list[str]:
    """What is wrong with a flow whose session ended: once the link is there again all are answered, the first
    one at once."""
    since = [us for us, n in zip(times, changes, strict=True) if n == changes[-1]]
    if None in since:
        return [f"{since.count(None)} setpoints lost after the link came back"]
    first = (since[0] if since else None) or 0.0
    return [f"first answer after {first:.0f} us, not {most_us}"] if first > most_us else []


def out_of_touch(flow: Sequence[tuple[float, float | None]]) -> float:
    """Seconds from the first setpoint without an answer to the answer behind the last; 0: none is lost."""
    lost = [at for at, us in flow if us is None]
    if not lost:
        return 0.0
    again = (at for at, us in flow if us is not None and at > lost[-1])
    return round(next(again, flow[-1][0]) - lost[0], 4)
