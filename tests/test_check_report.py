# SPDX-License-Identifier: MIT
"""What `isthmus check` makes of its measurements: rows, verdicts, table. No machine is needed here."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from isthmus.check import CATALOGUE, Report, critical, isolation, restart, throughput, traffic
from isthmus.check.counters import CONTROL, REFUSALS, Balance, Ledger, Rest, frames_between
from isthmus.check.rows import Row, missing, row
from isthmus.check.table import render, value

# ---- rows and table --------------------------------------------------------------------------------


def report(*failed: str) -> Report:
    rows = [missing(i, "broken by hand") if i in failed else row(i, True, 1.5, "fine") for i in CATALOGUE]
    return Report("host", "lwip", "tap", 7, 1.0, rows)


def printed(found: Report) -> str:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(render(found))
        return console.export_text()


def test_one_row_that_falls_short_fails_the_report() -> None:
    assert report().ok
    assert not report("http.ok").ok


def test_the_table_names_what_fell_short() -> None:
    text = printed(report("http.ok", "tcp.to_secure"))
    assert f"{len(CATALOGUE) - 2} of {len(CATALOGUE)} hold; fell short: http.ok, tcp.to_secure" in " ".join(
        text.split()
    )
    assert text.count("FAILED") == 2
    assert "broken by hand" in text


def test_the_summary_says_what_it_comes_to_only_if_everything_holds() -> None:
    assert "The critical side missed no deadline in 1.5 periods" in printed(report())
    assert "The critical side" not in printed(report("critical.missed"))


def test_the_table_shows_every_row_under_its_topic() -> None:
    text = printed(report())
    for kind in CATALOGUE.values():
        assert kind.what in text
        assert f"\n {kind.topic}" in text or f"\n{kind.topic}" in text
    assert "FAILED" not in text


@pytest.mark.parametrize(
    ("ident", "measured", "shown"),
    [
        ("restart.normal", 0.0141, "0.014 s"),
        ("tcp.to_secure", 2650.4, "2,650 Mbit/s"),
        ("ping.rtt_p50", 18.2, "18.2 us"),
        ("ping.loss", 0, "0 pings"),
        ("http.ok", 200, "200"),
    ],
)
def test_values_are_shown_with_their_unit(ident: str, measured: float, shown: str) -> None:
    assert value(row(ident, True, measured)) == shown


def test_what_was_not_measured_is_no_value() -> None:
    lost = missing("tcp.to_secure", "nobody there")
    assert (lost.ok, lost.value, value(lost)) == (False, None, "-")


# ---- round trips, rates --------------------------------------------------------------------------


@given(st.lists(st.integers(0, 10**9), min_size=1), st.floats(0.1, 100))
def test_percentile_is_the_smallest_value_that_enough_do_not_exceed(
    values: list[int], percent: float
) -> None:
    found = traffic.percentile(values, percent)
    assert found in values
    assert sum(v <= found for v in values) >= len(values) * percent / 100 - 1e-6
    assert sum(v < found for v in values) < len(values) * percent / 100 + 1e-6


def rtt_rows(rtt_us: Sequence[float]) -> list[Row]:
    return list(traffic.round_trips({"rtt_ns": [int(us * 1000) for us in rtt_us]}, limit_p50_us=500))


def test_round_trips_fail_in_the_median_or_in_the_tail() -> None:
    n = traffic.ECHOES
    assert [r.ok for r in rtt_rows([20] * n)] == [True, True]
    assert [r.ok for r in rtt_rows([501] * n)] == [False, True]
    assert [r.ok for r in rtt_rows([20] * (n - n // 50) + [60_000] * (n // 50))] == [True, False]
    assert [r.ok for r in rtt_rows([20] * (n - 1))] == [False, False], "one was not answered"
    assert [r.value for r in rtt_rows([])] == [None, None]


def test_throughput_is_judged_by_the_median_ratio() -> None:
    assert throughput.compared("tcp.to_secure", [50, 90, 10], [100, 100, 100], "a plain TAP").ok
    assert not throughput.compared("tcp.to_secure", [49, 90, 10], [100, 100, 100], "a plain TAP").ok
    assert not throughput.compared("tcp.to_secure", [50, 50, 50], [0, 0, 0], "a plain TAP").ok


# ---- the critical task ----------------------------------------------------------------------------


def critical_report(periods: int, below: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
    calm = {"p50": 10, "p99": 200, "max": 900}
    control = {
        "periods": periods, "missed": 0, "skipped": 0, "period_us": 1000, "cost_us": 100, "deadline_us": 1000,
        "first_period_us": 120, "cost_us_max": 110, "wait_us_max": 90, "late_kernel_us": calm,
        "bare_timer_us": calm, **changed,
    }  # fmt: skip
    slow = {"name": "supervision", "missed": 0, "response_us_max": 300, "deadline_us": 6000, **(below or {})}
    return {**control, "tasks": [{**control, "name": "control", "response_us_max": 200}, slow]}


def account(*lives: tuple[float, dict[str, Any], dict[str, Any]]) -> dict[str, Row]:
    """Rows from lives of (seconds, first report, last report)."""
    watched = [critical.Life(pid, 0.0, first, s, last) for pid, (s, first, last) in enumerate(lives)]
    return {r.id: r for r in critical.Account(watched).rows()}


def test_a_calm_account_holds() -> None:
    rows = account((1.0, critical_report(5), critical_report(1005)))
    assert all(r.ok for r in rows.values())
    assert rows["critical.periods"].value == 1000


def test_a_miss_in_any_life_counts() -> None:
    rows = account(
        (1.0, critical_report(5), critical_report(1005, missed=1)),
        (1.0, critical_report(0), critical_report(1000, missed=2)),
    )
    assert (rows["critical.missed"].ok, rows["critical.missed"].value) == (False, 3)


def test_a_miss_of_any_task_counts_and_is_named() -> None:
    rows = account((1.0, critical_report(5), critical_report(1005, below={"missed": 1})))
    assert (rows["critical.missed"].ok, rows["critical.missed"].value) == (False, 1)
    assert "supervision 300 of 6,000 us, 1 missed" in rows["critical.missed"].detail


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (critical_report(905), "a tenth of the periods is missing from the account"),
        (critical_report(1105), "more periods than time"),
        (critical_report(1005, skipped=751), "most were not run"),
        (critical_report(5), "none passed"),
    ],
)
def test_periods_that_do_not_add_up_fail(last: dict[str, Any], why: str) -> None:
    assert not account((1.0, critical_report(5), last))["critical.periods"].ok, why


@pytest.mark.parametrize(("took", "ok"), [(0.3, True), (0.05, False)])
def test_a_report_that_was_long_in_coming_is_not_dated_to_the_millisecond(
    took: float, ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """900 periods in a second by the clock: they add up only where the reports themselves took that long."""
    times = iter((0.0, took, 1.0, 1.0 + took))
    monkeypatch.setattr(critical, "time", SimpleNamespace(monotonic=lambda: next(times)))
    reports = iter((critical_report(0), critical_report(900)))

    class Machine:
        def pid(self, world: str) -> int:
            return 1

        def status(self, world: str) -> dict[str, Any]:
            return {"critical": next(reports)}

    looked, machine = critical.Account(), Machine()
    for _ in range(2):
        looked.look(machine)  # type: ignore[arg-type]
    assert {r.id: r.ok for r in looked.rows()}["critical.periods"] == ok


def test_lateness_is_judged_beside_the_bare_timer() -> None:
    late = {"p50": 1200, "p99": 9000, "max": 9000}
    alone = critical_report(1005, late_kernel_us=late)
    together = critical_report(1005, late_kernel_us=late, bare_timer_us=late)
    unmeasured = critical_report(1005, bare_timer_us={"p50": 0, "p99": 0, "max": 0})
    first = critical_report(5)
    assert not account((1.0, first, alone))["critical.late_kernel"].ok
    assert account((1.0, first, together))["critical.late_kernel"].ok
    assert not account((1.0, first, unmeasured))["critical.late_kernel"].ok


def test_no_report_is_no_proof() -> None:
    assert not any(r.ok for r in critical.Account().rows())


# ---- restarts -----------------------------------------------------------------------------------------


def campaign(**changed: Any) -> restart.Campaign:
    found = restart.Campaign(
        kills=[restart.Kill("normal", 10.0, 10.005), restart.Kill("secure", 20.0, 20.005)],
        passed=[(9.9, 9.91), (9.99, 10.4), (10.003, 10.004), (10.01, 10.05), (20.02, 20.06)],
        sent=5,
        flood={"bytes": 1_000_000, "connections": 2},
        held={"exact": True, "pause_s": 0.3, "error": ""},
        page=200,
    )
    for name, changed_to in changed.items():
        setattr(found, name, changed_to)
    return found


def restart_rows(**changed: Any) -> dict[str, Row]:
    return {r.id: r for r in restart.rows(campaign(**changed))}


def test_recovery_counts_frames_sent_after_the_kill() -> None:
    rows = restart_rows()
    assert all(r.ok for r in rows.values())
    assert rows["restart.normal"].value == pytest.approx(0.05)
    assert rows["restart.secure"].value == pytest.approx(0.06)


def test_a_recovery_that_takes_too_long_or_never_comes_fails() -> None:
    slow = restart_rows(passed=[(10.1, 11.2), (20.02, 20.06)])
    assert not slow["restart.normal"].ok
    assert slow["restart.secure"].ok
    never = restart_rows(passed=[(10.1, 10.2)])
    assert (never["restart.secure"].ok, never["restart.secure"].value) == (False, None)
    assert never["restart.normal"].ok


def test_what_must_live_on_or_answer_again_counts() -> None:
    assert not restart_rows(held={"exact": False, "pause_s": 0.3, "error": "reset"})["restart.normal"].ok
    assert not restart_rows(page=0)["restart.secure"].ok


@pytest.mark.parametrize("name", ["torn", "stale", "secure_torn", "secure_stale"])
def test_one_bad_frame_fails(name: str) -> None:
    found = restart_rows(**{name: 1})["restart.torn"]
    assert (found.ok, found.value) == (False, 1)


def test_no_frame_at_all_is_no_proof() -> None:
    assert not restart_rows(passed=[])["restart.torn"].ok


# ---- isolation ----------------------------------------------------------------------------------------


def attempt(name: str, refused: bool, kind: str = "write") -> dict[str, Any]:
    return {"name": name, "kind": kind, "refused": refused, "how": "EPERM" if refused else ""}


def test_one_open_way_fails() -> None:
    answer = {"attempts": [attempt("write", True), attempt("seal", False)], "granted": ["fchmod"]}
    found = isolation.judged("isolation.write", "write", [answer])
    assert (found.ok, found.value) == (False, 1)
    assert "open: seal" in found.detail


def test_a_granted_step_that_leads_nowhere_is_told() -> None:
    answer = {"attempts": [attempt("chmod and reopen", True)], "granted": ["fchmod"]}
    found = isolation.judged("isolation.write", "write", [answer])
    assert found.ok
    assert "grants fchmod" in found.detail


def test_no_attempt_is_no_proof() -> None:
    answer = {"attempts": [attempt("write", True)], "granted": []}
    assert not isolation.judged("isolation.read", "read", [answer]).ok


# ---- counters -----------------------------------------------------------------------------------------


def at_rest(sent: int, delivered: int, in_flight: int = 0, epoch: int = 1, **refused: int) -> Rest:
    zero = dict.fromkeys(REFUSALS, 0)
    there: dict[str, Any] = {"sent": sent, "counters": {**zero, "OK": 0}}
    here: dict[str, Any] = {"sent": 0, "counters": {**zero, "OK": delivered, **refused}}
    return Rest(epoch, {"normal": there, "secure": here}, {"normal": in_flight, "secure": 0})


def ledger(*entries: tuple[Rest | None, Rest]) -> Row:
    return Ledger(list(entries)).row()


def test_every_frame_is_delivered_refused_or_in_flight() -> None:
    assert ledger((None, at_rest(10, 10))).ok
    assert ledger((None, at_rest(10, 7, in_flight=1, GAP=2))).ok
    assert ledger((at_rest(5, 3, in_flight=1, GAP=1), at_rest(15, 13, GAP=2))).ok


@pytest.mark.parametrize(("sent", "delivered"), [(10, 9), (10, 11)])
def test_a_frame_too_few_or_too_many_fails(sent: int, delivered: int) -> None:
    found = ledger((None, at_rest(sent, delivered)))
    assert (found.ok, found.value) == (False, 1)


def test_errors_of_two_sessions_do_not_cancel_out() -> None:
    found = ledger((None, at_rest(10, 9)), (None, at_rest(10, 11)))
    assert (found.ok, found.value) == (False, 2)


def test_a_session_that_ended_in_between_is_no_account() -> None:
    assert not ledger((at_rest(1, 1, epoch=1), at_rest(2, 2, epoch=2))).ok
    assert not Ledger().row().ok


def test_a_balance_says_what_was_refused() -> None:
    b = Balance(10, 7, {"TAG": 2})
    assert b.unexplained == 1
    assert str(b) == "7 of 10 delivered, 2 TAG"


@given(
    st.lists(st.integers(60, 1514), max_size=40), st.integers(0, 2**32 // 16 - 1), st.sampled_from([0, 16])
)
def test_frames_in_a_ring_are_counted(lengths: list[int], first: int, trailer: int) -> None:
    ring = 1 << 16
    buffer = bytearray(CONTROL + ring + 2048)
    head = tail = first * 16
    for length in lengths:
        struct.pack_into("<I", buffer, CONTROL + (head & (ring - 1)), length)
        head = (head + (16 + length + 15) // 16 * 16 + trailer) & 0xFFFFFFFF
    assert frames_between(bytes(buffer), ring, tail, head, trailer) == len(lengths)
    if lengths:
        with pytest.raises(ValueError, match="do not end"):
            frames_between(bytes(buffer), ring, tail, (head - 16) & 0xFFFFFFFF, trailer)
