# SPDX-License-Identifier: MIT
"""python -m mutation: judges changes in a seeded order, as many as there is time for.

Exit status 1: a change that nothing notices and nothing explains, or an explanation of what is not there.
"""

from __future__ import annotations

import argparse
import queue
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path

from isthmus.build import cache
from mutation.find import Mutant
from mutation.judges import AREAS, SAME_CODE, STAGES, Workshop
from mutation.verdicts import Verdicts, explained, find, stale


def main(argv: Sequence[str]) -> int:
    options = _options(argv)
    known = find(AREAS)
    reasons = explained()
    gone = stale(reasons, (m for _, m in known))
    chosen = [
        (area, m)
        for area, m in known
        if area in (options.areas or AREAS)
        and (not options.kind or m.kind in options.kind)
        and (not options.only or any(fnmatchcase(m.id, p) for p in options.only))
    ]
    if not chosen:
        print("mutation: no change is called so; --list shows all", file=sys.stderr)
        return 2
    if options.list:
        for _, m in chosen:
            print(f"{m.file}:{m.line}: {m.id}")
        return 0
    random.Random(options.seed).shuffle(chosen)
    verdicts = Verdicts(cache.folder("mutation") / "verdicts.jsonl")
    if options.again:
        verdicts.known.clear()
    work = [
        (area, m) for area, m in chosen if verdicts.get(m) is None and (options.again or m.id not in reasons)
    ]
    print(f"{len(chosen)} changes, {len(work)} to judge, seed {options.seed}", flush=True)
    _judge(work, verdicts, reasons, options)
    return _summary([m for _, m in chosen], verdicts, reasons, gone)


def _judge(
    work: list[tuple[str, Mutant]], verdicts: Verdicts, reasons: dict[str, str], options: argparse.Namespace
) -> None:
    """Stage by stage: what takes seconds for all changes, then the rest for what that did not notice."""
    end, lock = time.monotonic() + options.seconds, threading.Lock()
    waiting: list[queue.SimpleQueue[tuple[str, Mutant]]] = [queue.SimpleQueue() for _ in STAGES]
    for item in work:
        waiting[verdicts.stages(item[1])].put(item)
    folder = Path(tempfile.mkdtemp(prefix="isthmus-mutation-"))

    def worker(number: int) -> None:
        workshop = Workshop(folder / str(number))
        while time.monotonic() < end:
            stage = next((n for n, q in enumerate(waiting[: options.stages]) if not q.empty()), None)
            if stage is None:
                return
            try:
                area, mutant = waiting[stage].get_nowait()
            except queue.Empty:
                continue
            try:
                noticed_by = workshop.judge(mutant, area, stage)
            except RuntimeError as error:  # it proves nothing, and is not kept
                print(f"{error}: {mutant.file}:{mutant.line}: {mutant.id}", flush=True)
                continue
            passed = stage + 1
            with lock:
                verdicts.put(mutant, noticed_by, passed)
                said = noticed_by or ("EXPLAINED" if mutant.id in reasons else "SURVIVED")
                if not noticed_by and passed < len(STAGES):
                    waiting[passed].put((area, mutant))
                    said = f"not by {STAGES[stage]}"
                print(f"{said[:60]:<30} {mutant.file}:{mutant.line}: {mutant.id}", flush=True)

    try:
        with ThreadPoolExecutor(options.jobs) as pool:
            for done in [pool.submit(worker, n) for n in range(options.jobs)]:
                try:
                    done.result()
                except BaseException:
                    end = 0
                    raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _summary(chosen: list[Mutant], verdicts: Verdicts, reasons: dict[str, str], gone: list[str]) -> int:
    by = {m.id: verdicts.get(m) for m in chosen}
    unknown = [i for i, v in by.items() if v is None and i not in reasons]
    left = [i for i, v in by.items() if v == "" and i not in reasons]
    for ident in gone:
        print(f"explained, but the source does not say it: {ident}")
    for ident in reasons:
        if by.get(ident) not in (None, "", SAME_CODE):
            print(f"explained, but noticed by {by[ident]}: {ident}")
    for ident in left:
        print(f"noticed by nothing: {ident}")
    same = sum(v == SAME_CODE for v in by.values())
    noticed = sum(bool(v) for v in by.values()) - same
    silent = len(by) - len(unknown) - noticed - same
    print(
        f"{noticed} noticed, {same} without effect on the machine code, {silent - len(left)} explained, "
        f"{len(left)} unexplained, {len(unknown)} not yet judged"
    )
    return 1 if left or gone else 0


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mutation", description="Takes out defences and asks the tests.")
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"of {', '.join(AREAS)}; all of them")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="ids that fit")
    parser.add_argument("--kind", action="append", default=[], help="of the kinds that find.py lists")
    seed = random.SystemRandom().getrandbits(16)
    parser.add_argument("--seed", type=int, default=seed, help="of the order")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no change after so long")
    parser.add_argument("--jobs", type=int, default=1, help="changes at a time")
    parser.add_argument(
        "--quick", dest="stages", action="store_const", const=2, default=len(STAGES), help="without the suite"
    )
    parser.add_argument("--again", action="store_true", help="judge what is known or explained, too")
    parser.add_argument("--list", action="store_true", help="show the changes and judge none")
    options = parser.parse_args(argv)
    for area in options.areas:
        if area not in AREAS:
            parser.error(f"there is no area {area}")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("mutation: stopped; what was judged is kept", file=sys.stderr)
        sys.exit(130)
