# SPDX-License-Identifier: MIT
"""The report's plots."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from statistics import quantiles

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from isthmus.check.evidence import Evidence, Moment, Period, Span
from isthmus.report.figure import INK, LINE, MARK, NORMAL, SECURE, SOFT, figure, svg, title

__all__ = ["arrivals", "restarts", "round_trips", "throughput", "whole_run"]

_WIDE, _HALF = 10.0, 4.9  # inches; the page scales them to its columns
_FLOOR_US = 0.1  # of a logarithmic axis
_AROUND_S, _APART_S = 0.06, 0.4
_ARRIVALS_S = 0.005
_Group = Sequence[Period]
_BINS = 700  # of the whole run: about one per point of the page's width


# ---- the control task over time --------------------------------------------------------------------------


def whole_run(evidence: Evidence) -> str | None:
    """Traffic and the control task, over the whole check; topics above, restarts marked."""
    periods = evidence.periods
    if len(periods) < 2:
        return None
    step = max(1, len(periods) // _BINS)
    groups = [periods[i : i + step] for i in range(0, len(periods), step)]
    return _lanes(evidence, groups, evidence.spans, single=False)


def restarts(evidence: Evidence) -> list[str]:
    """The same around the restarts, one dot per period: a plot for those that lie close together."""
    clusters: list[list[Span]] = []
    for span in (s for s in evidence.spans if s.kind == "restart"):
        if clusters and span.begin_s - clusters[-1][-1].end_s < _APART_S:
            clusters[-1].append(span)
        else:
            clusters.append([span])
    drawn = []
    for spans in clusters:
        begin, end = spans[0].begin_s, spans[-1].end_s
        around = max(_AROUND_S, 0.15 * (end - begin))
        begin, end = begin - around, end + around
        groups = [[p] for p in evidence.periods if begin <= p.release_s <= end]
        if groups:
            drawn.append(_lanes(evidence, groups, spans, single=True))
    return drawn


def arrivals(evidence: Evidence) -> str | None:
    """Raw frames that came back, per bin, through the restarts."""
    at = evidence.arrivals_s
    if not at:
        return None
    with figure(_WIDE, 2.3) as (whole, (axes,)):
        bins = max(1, round(at[-1] / _ARRIVALS_S))
        axes.hist(at, bins=bins, range=(0, at[-1]), color=NORMAL)
        axes.set_xlim(0, at[-1])
        axes.set_ylim(0, axes.get_ylim()[1] * 1.3)
        axes.set_xlabel("seconds since the first of them was sent")
        _restarts([axes], [s for s in evidence.spans if s.kind == "restart"], named=True)
        title(axes, f"Raw sequenced frames that came back, in each {_ARRIVALS_S * 1000:.0f} ms")
        return svg(whole)


def _lanes(evidence: Evidence, groups: Sequence[_Group], spans: Sequence[Span], single: bool) -> str:
    at = [group[0].release_s for group in groups]
    with figure(_WIDE, 3.9, (1, 1.15)) as (whole, (traffic, task)):
        _frames(traffic, at, groups)
        _task(task, at, groups, evidence, single)
        task.set_xlabel("seconds since the machine started")
        task.set_xlim(at[0], at[-1])
        task.xaxis.set_major_locator(MaxNLocator(12))
        _restarts((traffic, task), [s for s in spans if s.kind == "restart"], single)
        if single:
            _moments(traffic, [m for m in evidence.moments if at[0] <= m.at_s <= at[-1]])
        _topics(traffic, [s for s in spans if s.kind == "topic"])
        return svg(whole)


def _frames(axes: Axes, at: Sequence[float], groups: Sequence[_Group]) -> None:
    for name, sign, colour in (("frames_in", 1, NORMAL), ("frames_out", -1, SECURE)):
        per_period = [sign * sum(getattr(p, name) for p in group) / len(group) for group in groups]
        axes.fill_between(at, per_period, step="post", color=colour)
    axes.set_yscale("symlog", linthresh=10, linscale=1)
    axes.set_ylim(-300, 300)
    axes.set_yticks([-100, -10, 0, 10, 100])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{abs(v):g}"))
    axes.minorticks_off()
    title(axes, "Frames per period at the critical OS: from Linux upwards, to Linux downwards")


def _task(
    axes: Axes, at: Sequence[float], groups: Sequence[_Group], evidence: Evidence, single: bool
) -> None:
    """The worst of each group, below the limits that it has to keep."""
    assert evidence.task is not None
    limits = {"deadline": float(evidence.task.deadline_us), "latest start": evidence.late_max_us}
    for name, what in (("done_us", "done"), ("late_us", "began")):
        worst = [max((getattr(p, name) or 0.0 for p in group), default=0.0) for group in groups]
        shown = [max(v, _FLOOR_US) for v in worst]
        if single:
            axes.plot(at, shown, ".", color=SECURE, markersize=2.2)
        else:
            axes.step(at, shown, where="post", color=SECURE, linewidth=1.3)
        _at_right(axes, shown[-1], what, SECURE)
    absent = [group[0].release_s for group in groups if any(p.late_us is None for p in group)]
    axes.plot(absent, [evidence.task.deadline_us] * len(absent), "x", color=MARK, markersize=7)
    for what, limit in limits.items():
        axes.axhline(limit, color=MARK, linewidth=1, linestyle=(0, (4, 3)))
        _at_right(axes, limit, what, MARK)
    axes.set_yscale("log")
    axes.set_ylim(_FLOOR_US, max(limits.values()) * 4)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.minorticks_off()
    each = "one dot per period" if single else "the worst of each few periods"
    title(axes, f"Control task, every {evidence.task.period_us:,} µs: µs after its release, {each}")


def _at_right(axes: Axes, y: float, what: str, colour: str) -> None:
    axes.annotate(
        what, (1, y), xycoords=("axes fraction", "data"), xytext=(5, 0), textcoords="offset points",
        va="center", color=colour, annotation_clip=False,
    )  # fmt: skip


def _restarts(lanes: Sequence[Axes], spans: Sequence[Span], named: bool) -> None:
    for span in spans:
        for axes in lanes:
            axes.axvspan(span.begin_s, span.end_s, color=MARK, alpha=0.13)
        if named:
            _label(lanes[0], span, "\n".join(textwrap.wrap(span.what, 14)), MARK, 0.97)


def _moments(axes: Axes, moments: Sequence[Moment]) -> None:
    """What the Secure world noted, at the foot of the plot, in two lines."""
    for n, moment in enumerate(moments):
        axes.axvline(moment.at_s, color=SOFT, linewidth=0.7, linestyle=(0, (1, 2)))
        axes.annotate(
            moment.what, (moment.at_s, 0.02 + 0.11 * (n % 2)), xycoords=("data", "axes fraction"),
            xytext=(2, 0), textcoords="offset points", color=SOFT, fontsize=7,
        )  # fmt: skip


def _topics(axes: Axes, spans: Sequence[Span]) -> None:
    """Names above the plot; one that has no room stands a line lower."""
    low, high = axes.get_xlim()
    for n, span in enumerate(spans):
        if n:
            axes.axvline(span.begin_s, color=LINE, linewidth=0.9)
        narrow = (span.end_s - span.begin_s) / (high - low) < 0.012 * len(span.what)
        _label(axes, span, span.what, SOFT, 0.1 if narrow and n % 2 else 0.97)


def _label(axes: Axes, span: Span, text: str, colour: str, y: float) -> None:
    axes.text(
        (span.begin_s + span.end_s) / 2, y, text,
        transform=axes.get_xaxis_transform(), ha="center", va="top", color=colour, fontsize=8,
    )  # fmt: skip


# ---- round trips and throughput --------------------------------------------------------------------------


def round_trips(rtt_ns: Sequence[int]) -> str | None:
    """How the single round trips of ping are distributed; the last bar holds the tail."""
    if len(rtt_ns) < 100:
        return None
    us = [n / 1e3 for n in rtt_ns]
    percents = quantiles(us, n=100, method="inclusive")
    high = percents[98] * 1.2
    with figure(_HALF, 2.5) as (whole, (axes,)):
        axes.hist([min(v, high) for v in us], bins=50, range=(0, high), color=NORMAL, log=True)
        for value, name, side in ((percents[49], "median", "left"), (percents[98], "99 %", "right")):
            axes.axvline(value, color=MARK, linewidth=1)
            axes.annotate(
                f"{name} {value:,.1f}", (value, 1), xycoords=("data", "axes fraction"),
                xytext=(4 if side == "left" else -4, -2), textcoords="offset points",
                ha=side, va="top", color=MARK,
            )  # fmt: skip
        axes.set_xlim(0, high)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,g}"))
        axes.minorticks_off()
        axes.set_xlabel("µs; the last bar holds everything above")
        title(axes, f"Ping: how many of {len(us):,} round trips took so long")
        return svg(whole)


def throughput(rates: Sequence[tuple[str, float]]) -> str | None:
    """Mbit/s by direction."""
    if not rates:
        return None
    with figure(_HALF, 2.5) as (whole, (axes,)):
        names, values = zip(*reversed(rates), strict=True)
        axes.barh(names, values, height=0.5, color=[SECURE, NORMAL][-len(rates) :])
        axes.grid(visible=False)
        axes.tick_params(axis="y", colors=INK)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        for n, value in enumerate(values):
            axes.annotate(f"{value:,.0f}", (value, n), xytext=(5, 0), textcoords="offset points", va="center")
        axes.set_xlim(0, max(values) * 1.2)
        axes.set_ylim(-0.75, len(rates) - 0.25)
        title(axes, "TCP, Mbit/s")
        return svg(whole)
