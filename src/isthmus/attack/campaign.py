# SPDX-License-Identifier: MIT
"""Runs attacks on whole machines: those that want one alike share it, and two machines run side by side."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from isthmus.attack.catalogue import Attack, Control, Defence, Evidence, Outcome, Row, Untried
from isthmus.attack.runner import row

__all__ = ["Make", "Stage", "on_machines"]

Key = tuple[str | None, tuple[tuple[str, Any], ...]]  # what is taken out, settings
SHARE_MIN = 4  # attacks that are worth a machine of their own, where they are split among several
COSTS = {"on": 1, "off": 4, "bare": 4}  # about: where an attack succeeds, much is waited for that never comes


class Stage(Protocol):
    """A machine under attack."""

    remark: str  # for every outcome on it; "" for none

    def close(self) -> None:
        """Idempotent."""

    def interrupt(self) -> None:
        """From any thread: whoever waits for the machine learns soon that it is gone, for good."""


Make = Callable[[str | None, Mapping[str, Any]], Stage]
"""Brings one up: without which defence, by which settings."""


class Task(NamedTuple):
    """What one machine is brought up for."""

    key: Key
    wanted: list[tuple[Attack, Defence]]


class Campaign:
    """`began` is told of each attack, in any thread; `seen`, by id and defence, takes what a machine with a
    clock of its own saw meanwhile."""

    def __init__(
        self, make: Make, seed: int, began: Callable[[Attack], None], seen: dict[str, Evidence]
    ) -> None:
        self._make, self._seed, self._began, self._seen = make, seed, began, seen
        self._lock = threading.Lock()
        self._stages: set[Stage] = set()  # that are up, or come up
        self._halted = False

    def run(self, tasks: Sequence[Task], machines: int) -> dict[tuple[str, Defence], Row]:
        """So many at a time; the first thing that goes wrong, Ctrl-C included, ends them all."""
        rows: dict[tuple[str, Defence], Row] = {}
        if machines == 1:
            for task in tasks:
                rows |= self._on_one(task)
            return rows
        with ThreadPoolExecutor(machines) as pool:
            try:
                futures = [pool.submit(self._on_one, task) for task in tasks]
                for future in as_completed(futures):
                    rows |= future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._halt()
                raise
        return rows

    def _halt(self) -> None:
        with self._lock:
            self._halted = True
            for stage in self._stages:
                stage.interrupt()

    def _on_one(self, task: Task) -> dict[tuple[str, Defence], Row]:
        (without, settings), wanted = task
        done: dict[tuple[str, Defence], Row] = {}
        stage = self._make(without, dict(settings))
        with self._lock:
            self._stages.add(stage)
        try:
            for attack, defence in wanted:
                if self._halted:
                    break
                done[attack.id, defence] = self._one(stage, attack, defence)
        finally:
            with self._lock:
                self._stages.discard(stage)
            stage.close()
        return done

    def _one(self, stage: Stage, attack: Attack, defence: Defence) -> Row:
        if defence == "on":
            with self._lock:
                self._began(attack)
        assert attack.run is not None
        outcome: Outcome | None = None
        tried = attack
        try:
            outcome = attack.run(stage, random.Random(f"{self._seed} {attack.id}"))
        except PermissionError as problem:
            tried = replace(attack, elsewhere=f"not allowed to play the attacker here: {problem}")
        except Untried as problem:  # neither contained nor, as a control, successful
            outcome = Outcome(defence != "on", f"could not be tried: {problem}")
        if outcome is not None and stage.remark:
            outcome = replace(outcome, detail=f"{outcome.detail} ({stage.remark})")
        if outcome is not None and outcome.evidence is not None:
            self._seen[f"{attack.id} {defence}"] = outcome.evidence
        return row(tried, defence, self._seed, outcome)


def on_machines(
    attacks: Sequence[Attack],
    make: Make,
    seed: int,
    controls: bool,
    began: Callable[[Attack], None],
    seen: dict[str, Evidence],
    machines: int,
    together: Iterable[Sequence[str]] = (),
) -> list[Row]:
    """The rows in the catalogue's order, whatever order they were run in; `machines` at a time. `began` and
    `seen`: Campaign's. `together`: sets of defences that are taken out in one test build."""
    builds = {name: " + ".join(names) for names in together for name in names}
    jobs: dict[Key, list[tuple[Attack, Defence]]] = {}
    rows: dict[tuple[str, Defence], Row] = {}
    for attack in attacks:
        if attack.run is None:
            rows[attack.id, "on"] = row(attack, "on", seed, None)
            continue
        jobs.setdefault(_key(None, attack.settings), []).append((attack, "on"))
        off: tuple[tuple[Defence, Control | None], ...] = (("off", attack.control), ("bare", attack.bare))
        for defence, gone in off if controls else ():
            if gone is not None:
                without = gone.without and builds.get(gone.without, gone.without)
                key = _key(without, {**attack.settings, **gone.settings})
                jobs.setdefault(key, []).append((attack, defence))
    rows |= Campaign(make, seed, began, seen).run(_tasks(jobs, machines), machines)
    defences: tuple[Defence, ...] = ("on", "off", "bare")
    return [rows[a.id, d] for a in attacks for d in defences if (a.id, d) in rows]


def _tasks(jobs: Mapping[Key, list[tuple[Attack, Defence]]], machines: int) -> list[Task]:
    """The longest first, and what would keep one machine busy while the others are done split among them."""
    tasks = []
    for key, wanted in jobs.items():
        parts = max(1, min(machines, len(wanted) // SHARE_MIN))
        tasks += [Task(key, wanted[i::parts]) for i in range(parts)]
    if machines == 1:
        return tasks
    return sorted(tasks, key=lambda task: sum(COSTS[defence] for _, defence in task.wanted), reverse=True)


def _key(without: str | None, settings: Mapping[str, Any]) -> Key:
    return without, tuple(sorted(settings.items()))
