# SPDX-License-Identifier: MIT
"""What is known of each change: kept as it is found, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path

from core_programs import ROOT
from mutation.find import Mutant, mutants
from mutation.judges import AREAS, STAGES

__all__ = ["EXPLAINED", "Verdicts", "explained", "find", "stale"]

EXPLAINED = Path(__file__).with_name("mutants.toml")


def find(areas: Iterable[str]) -> list[tuple[str, Mutant]]:
    """Area and change, in the order of the sources."""
    found = []
    for area in areas:
        for pattern in AREAS[area]:
            for path in sorted(ROOT.glob(pattern)):
                file = str(path.relative_to(ROOT))
                found += [(area, m) for m in mutants(file, path.read_text(encoding="utf-8"))]
    return found


def explained(file: Path = EXPLAINED) -> dict[str, str]:
    """By id, why no test notices. ValueError where an entry has no reason, or two have one id."""
    reasons: dict[str, str] = {}
    for entry in tomllib.loads(file.read_text(encoding="utf-8")).get("survivors", []):
        if len(entry.get("reason", "")) < 10:
            raise ValueError(f"{file}: no reason for {entry.get('mutants')}")
        for ident in entry["mutants"]:
            if ident in reasons:
                raise ValueError(f"{file}: twice: {ident}")
            reasons[ident] = entry["reason"]
    return reasons


def stale(reasons: Iterable[str], known: Iterable[Mutant]) -> list[str]:
    """Entries for what the sources no longer say."""
    ids = {m.id for m in known}
    return [ident for ident in reasons if ident not in ids]


class Verdicts:
    """A file of lines, one for each change that was judged. What was noticed stays so while the function that
    was changed is the same; what was not is tried again once a test is another. Half-way through the stages,
    a line says how many of them have not noticed."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.tests = _digest(*(p.read_text(encoding="utf-8") for p in _tests()))
        self.known: dict[str, tuple[str, str, int]] = {}
        if file.is_file():
            for line in file.read_text(encoding="utf-8").splitlines():
                key, tests, noticed_by, *stages = json.loads(line)
                self.known[key] = tests, noticed_by, *(stages or [len(STAGES)])

    def get(self, mutant: Mutant) -> str | None:
        """What noticed it, empty if nothing did; None if that is not known."""
        _, noticed_by, _ = self.known.get(self._key(mutant), ("", "", 0))
        return noticed_by if noticed_by or self.stages(mutant) == len(STAGES) else None

    def stages(self, mutant: Mutant) -> int:
        """How many stages of today's tests it went through without being noticed."""
        tests, _, stages = self.known.get(self._key(mutant), ("", "", 0))
        return stages if tests == self.tests else 0

    def put(self, mutant: Mutant, noticed_by: str, stages: int = len(STAGES)) -> None:
        key = self._key(mutant)
        self.known[key] = self.tests, noticed_by, stages
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps([key, *self.known[key]]) + "\n")

    def _key(self, mutant: Mutant) -> str:
        text = (ROOT / mutant.file).read_text(encoding="utf-8")
        return _digest(mutant.file, mutant.id, mutant.changed_function(text))


def _tests() -> list[Path]:
    patterns = ("*.py", "c/*", "monitor/*", "secure/*")
    return sorted(p for pattern in patterns for p in (ROOT / "tests").glob(pattern))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:24]
