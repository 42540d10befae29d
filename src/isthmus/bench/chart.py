# SPDX-License-Identifier: MIT
"""The chart of a run: the channel, its bound and the peers, one bar each. Needs matplotlib."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from isthmus.bench import Row
from isthmus.bench.document import Document, number
from isthmus.report.figure import INK, MARK, NORMAL, SECURE, SOFT, figure, svg, title

__all__ = ["draw"]

PANELS = (  # title, metric, bytes, factor to the shown unit
    ("Round trip of 64 bytes, median, us: less is better", "rtt_p50", 64, 1.0),
    ("Million frames of 64 bytes a second: more is better", "frames", 64, 1e-6),
    ("Gbit/s in frames of 1500 bytes: more is better", "bits", 1500, 1e-9),
)
COLOURS = {"isthmus": SECURE, "bound": MARK}  # by peer; every other is a peer
LEGEND = (  # which colour is whose
    (SECURE, "isthmus, its checks on"),
    (MARK, "bound: ideal rings, no checks"),
    (NORMAL, "peers"),
)
BAR = 0.21  # inches
CURVE = 8  # bars high
STYLE = """<style>
svg { --paper: #ffffff; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --normal: #8fa3b8;
      --secure: #0b6e4f; --mark: #b8860b; background: var(--paper); font-family: system-ui, sans-serif }
@media (prefers-color-scheme: dark) { svg { --paper: #0d1117; --ink: #e6edf3; --soft: #9198a1;
      --line: #3d444d; --normal: #7088a3; --secure: #3fb98a; --mark: #d9a520 } }
</style>"""


def draw(document: Document) -> str:
    """As SVG that stands alone, for light and dark pages, and the same for the same document."""
    wanted = [_bars(document.rows, metric, size) for _, metric, size, _ in PANELS]
    heights = [max(1, len(rows)) for rows in wanted]
    scale, memory = _scale(document.rows, "cpu"), _scale(document.rows, "size")
    heights += [CURVE] * bool(scale)
    with figure(9.0, BAR * sum(heights) + 1.9, heights, shared=False) as (whole, panels):
        _legend(whole)
        for axes, rows, (heading, metric, _, factor) in zip(panels, wanted, PANELS, strict=False):
            _panel(axes, rows, factor, rising=metric == "rtt_p50")
            title(axes, heading)
        if scale:
            _curve(panels[-1], scale, memory)
            title(panels[-1], "Cost of a 64-byte frame, and memory, to one channel's: less is better")
        text = svg(whole)
    end = text.index(">") + 1
    return text[:end] + "\n" + STYLE + text[end:]


def _legend(whole: Figure) -> None:
    handles = [Patch(color=colour, label=text) for colour, text in LEGEND]
    whole.legend(
        handles=handles, loc="outside upper left", ncols=len(handles), frameon=False, handlelength=1.2
    )


def _bars(rows: list[Row], metric: str, size: int) -> list[Row]:
    """From C, with a value; the sleeping modes would hide the rest of a round trip's scale."""
    found = [r for r in rows if (r.metric, r.frame_bytes) == (metric, size) and r.value and r.api == "c"]
    return [r for r in found if r.mode == "spin" or metric != "rtt_p50"]


def _scale(rows: list[Row], metric: str) -> list[tuple[int, float, float]]:
    """(channels, all of them busy; a value; its ratio to one channel's), from two points on."""
    found = {
        int(r.case.removeprefix("scale.")): r.value
        for r in rows
        if r.metric == metric and r.value and r.case.removeprefix("scale.").isdecimal()
    }
    if 1 not in found or len(found) == 1:
        return []
    return [(n, found[n], found[n] / found[1]) for n in sorted(found)]


def _curve(axes: Axes, costs: list[tuple[int, float, float]], memory: list[tuple[int, float, float]]) -> None:
    channels, _, ratios = zip(*costs, strict=True)
    axes.plot(channels, ratios, color=SECURE, marker="o", markersize=4)
    axes.set_xscale("log", base=2)
    axes.set_xticks(channels, [str(n) for n in channels])
    axes.set_xlabel("channels, all of them busy")
    axes.set_ylim(0, max(*ratios, 1.0) * 1.25)
    axes.tick_params(axis="y", colors=SOFT)
    for at, value in zip(channels, ratios, strict=True):
        axes.annotate(f"{value:.2f}", (at, value), xytext=(0, -12), textcoords="offset points", ha="center",
                      color=INK)  # fmt: skip
    if memory:
        numbers, sizes, each = zip(*memory, strict=True)
        axes.plot(numbers, each, color=SOFT, linestyle="dashed", linewidth=1)
        axes.annotate(f"memory: {sizes[-1]:,.0f} bytes a channel", (numbers[-1], each[-1]), xytext=(0, 5),
                      textcoords="offset points", ha="right", color=SOFT)  # fmt: skip


def _panel(axes: Axes, rows: list[Row], factor: float, rising: bool) -> None:
    """The best on top."""
    found = sorted(((r.value or 0.0) * factor, r.case, r.peer) for r in rows)
    if rising:
        found.reverse()
    values = [value for value, _, _ in found]
    axes.barh(
        range(len(found)), values, height=0.7, color=[COLOURS.get(peer, NORMAL) for _, _, peer in found]
    )
    axes.set_yticks(range(len(found)), [case for _, case, _ in found])
    axes.tick_params(axis="y", colors=INK)
    axes.grid(visible=False)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_xlim(0, max(values, default=1.0) * 1.12)
    axes.margins(y=0.01)
    for at, value in enumerate(values):
        text = f"{value:.2f}" if value < 1 else number(value)
        axes.annotate(text, (value, at), xytext=(4, 0), textcoords="offset points", va="center", color=INK)
