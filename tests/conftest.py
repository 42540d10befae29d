# SPDX-License-Identifier: MIT
"""What every test shares: the machines, the slow set, replayable seeds, an account of what was left out.

The fixture `machine` is every machine that can do what the test needs (mark `needs`); machines.txt holds what
a machine cannot do, why, and which tests that keeps from it. What this computer cannot run is skipped with a
reason. Every reason is printed at the end of the run, and one that skips.txt does not list is a failure:
nothing drops out unseen.
"""

from __future__ import annotations

import functools
import json
import os
import random
import re
import shutil
import signal
import subprocess
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

import machines

ROOT = Path(__file__).parent.parent
SKIPS = Path(__file__).with_name("skips.txt")

hypothesis.settings.register_profile("isthmus", deadline=None, print_blob=True)
hypothesis.settings.load_profile("isthmus")

left_out = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the long campaigns too")
    parser.addoption("--where", type=Path, help="write there which test runs on which machine, as JSON")


def pytest_configure() -> None:
    """What starts us may ignore signals (nohup, a shell's background job); the programs we start must not."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (where := config.getoption("--where")) is not None:
        where.write_text(json.dumps(whereabouts(items)))
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
    config.stash[left_out] = len(slow)


# Where several workers share the suite (pytest-xdist), the one that reports collects nothing itself.


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(left_out, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[left_out] = getattr(node, "workeroutput", {}).get("left_out", 0)


# ---- capabilities --------------------------------------------------------------------------------


@functools.cache
def host_problem() -> str | None:
    """Why the host machine cannot run here, or None."""
    try:
        unshare = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--net", "true"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return "host: unshare(1) is missing"
    if unshare.returncode:
        return f"host: no user and network namespaces here: {unshare.stderr.strip()}"
    return None


@functools.cache
def qemu_problem() -> str | None:
    """Why the TrustZone machine cannot run here, or None."""
    tools = ("qemu-system-aarch64", "aarch64-linux-gnu-gcc", "dtc", "apt-get")
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return f"qemu: {missing[0]} is missing" if missing else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `machine`, and has none of its own file's making, runs on all that fit its marks."""
    definitions = metafunc._arg2fixturedefs.get("machine", ())
    if not definitions or definitions[-1].baseid.endswith(".py"):
        return
    marks = metafunc.definition.iter_markers
    also = {name for mark in marks("also") for name in mark.args}
    needs = {name for mark in marks("needs") for name in mark.args}
    names = machines.fit_for(needs, also)
    params = [
        pytest.param(name, marks=pytest.mark.qemu if name == "qemu" else pytest.mark.host) for name in names
    ]
    metafunc.parametrize("machine", params, indirect=True, scope="module")


def whereabouts(items: list[pytest.Item]) -> dict[str, dict[str, list[str]]]:
    """By test, its parameters left out: the machines and the capabilities that its marks name."""
    found: dict[str, dict[str, set[str]]] = {}
    for item in items:
        place = found.setdefault(item.nodeid.partition("[")[0], {"machines": set(), "needs": set()})
        place["machines"] |= {name for name in ("host", "qemu") if item.get_closest_marker(name)}
        place["needs"] |= {name for mark in item.iter_markers("needs") for name in mark.args}
    return {test: {k: sorted(v) for k, v in place.items()} for test, place in found.items()}


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("host") and (problem := host_problem()):
        pytest.skip(problem)
    if item.get_closest_marker("qemu") and (problem := qemu_problem()):
        pytest.skip(problem)


# ---- skips ---------------------------------------------------------------------------------------


@functools.cache
def known_skips() -> list[re.Pattern[str]]:
    lines = (line.strip() for line in SKIPS.read_text().splitlines())
    return [re.compile(line) for line in lines if line and not line.startswith("#")]


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


def refuse_unlisted(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = skip_reason(report)
        if not any(known.fullmatch(reason) for known in known_skips()):
            report.outcome = "failed"
            report.longrepr = f"skipped for a reason that {SKIPS.name} does not list: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_unlisted(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_unlisted(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        reasons[skip_reason(report)].append(report.nodeid)
    slow = config.stash.get(left_out, 0)
    terminalreporter.section("left out")
    if slow:
        terminalreporter.line(f"{slow} slow tests (make slow)")
    for reason, tests in sorted(reasons.items()):
        terminalreporter.line(f"{len(tests)} skipped: {reason}")
        for test in tests:
            terminalreporter.line(f"    {test}")
    if not slow and not reasons:
        terminalreporter.line("nothing")


# ---- fixtures ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest) -> Iterator[machines.Machine]:
    """One of the machines, shared by the tests of a file: each leaves it with both worlds up."""
    with machines.machine_called(request.param) as machine:
        yield machine


@pytest.fixture
def seed() -> int:
    """For tests that roll dice. Shown where the test fails; ISTHMUS_SEED replays it."""
    value = int(os.environ.get("ISTHMUS_SEED", "0"), 0) or random.SystemRandom().getrandbits(32)
    print(f"replay with ISTHMUS_SEED={value:#x}")
    return value
