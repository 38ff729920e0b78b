"""matplotlib figures as inline SVG: the same bytes every time, and in the colours of the page around them.

A figure is drawn in stand-in colours, one for each role; in the finished SVG they become CSS variables, so that one
drawing serves light, dark and print.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

SERIES = 7
INK, FAINT, GRID = "#0a0a01", "#0a0a02", "#0a0a03"
COLOURS = tuple(f"#0a0b{i:02x}" for i in range(1, SERIES + 1))
_VARIABLES = {INK: "--ink", FAINT: "--muted", GRID: "--line"} | {c: f"--s{i}" for i, c in enumerate(COLOURS, 1)}
WIDTH = 340  # units of the view box: at a phone's width text keeps its size
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # names come from files: a dollar sign is a dollar sign
    "font.size": 11,
    "axes.labelsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def draw(name: str, height: int, label: str, paint: Callable[[Any], None]) -> str:
    """An ``<svg>`` element.

    Args:
        name: prefix of every id inside, so that several figures can share a page.
        height: units of the view box, whose width is ``WIDTH``.
        label: what the figure shows, for those who do not see it.
        paint: draws into the axes.
    """
    import matplotlib
    from matplotlib.figure import Figure

    out = io.StringIO()
    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.subplots()
        axes.patch.set_visible(False)
        paint(axes)
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inline(out.getvalue(), name, label)


def legend(axes: Any, columns: int, order: list[str] | None = None) -> None:
    """A legend above the axes, where it can cover nothing; ``order`` names its labels."""
    handles, labels = axes.get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    shown = labels if order is None else order
    axes.legend(
        [by_label[label] for label in shown],
        shown,
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=columns,
        borderaxespad=0.2,
        columnspacing=1.2,
    )


def _inline(text: str, name: str, label: str) -> str:
    from markupsafe import escape

    body = text[text.index("<svg") :].strip()
    body = re.sub(r"<metadata>.*?</metadata>\s*|<style.*?</style>\s*|<!--.*?-->\s*", "", body, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]+"', body)
    opening = f'<svg {box[0] if box else ""} role="img" aria-label="{escape(label)}" class="plot"'
    body = re.sub(r"^<svg[^>]*", opening, body, count=1)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'(xlink:href="|url\()#', rf"\1#{name}-", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    return body
