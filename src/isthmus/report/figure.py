# SPDX-License-Identifier: MIT
"""Plots as SVG that takes its colours and its type from the page around it; the same for the same data."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["INK", "LINE", "MARK", "NORMAL", "SECURE", "SOFT", "figure", "svg", "title"]

# matplotlib wants colours; each of these becomes a variable of the page, light or dark as the reader has it.
INK, SOFT, LINE, NORMAL, SECURE, MARK = (f"#0{n}0{n}0{n}" for n in range(1, 7))
_VARIABLES = {INK: "ink", SOFT: "soft", LINE: "line", NORMAL: "normal", SECURE: "secure", MARK: "mark"}
_STYLE: Any = {  # matplotlib names every key in its type, and not the same ones in each version
    "svg.fonttype": "none",  # text stays text: searchable, and in the page's font
    "svg.hashsalt": "isthmus",  # the same data give the same file
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "ytick.left": False,
    "xtick.major.width": 0.8,
    "xtick.major.size": 3,
    "patch.linewidth": 0,
}


def svg(drawn: Figure) -> str:
    """The element alone, in the page's variables --ink, --soft, --line, --normal, --secure and --mark."""
    out = io.StringIO()
    drawn.savefig(out, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"font: (\S+) [^;\"]*", r"font-size: \1", text)
    text = re.sub(r"(\d\.\d\d)\d+", r"\1", text)
    for colour, name in _VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    return text


@contextmanager
def figure(
    width: float, height: float, ratios: Sequence[float] = (1,), shared: bool = True
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Rows of axes, mostly with a shared x axis; `ratios` are their heights. Sizes in inches."""
    with mpl.rc_context(_STYLE):
        whole = Figure(figsize=(width, height), layout="constrained")
        whole.patch.set_visible(False)
        axes = whole.subplots(len(ratios), 1, sharex=shared, squeeze=False, height_ratios=ratios)[:, 0]
        for each in axes:
            each.patch.set_visible(False)
        yield whole, list(axes)


def title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=9.5, color=INK, pad=6)
