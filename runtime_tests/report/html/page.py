"""Fills the template with the plain data of parity.json."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from runtime_tests.report.html import plots

BLOCKS = {"mlp": "MLP", "kv": "keys and values"}
SENSES = {"at least": "≥", "at most": "≤", "equal": "=", "stated": ""}


def render(report: Mapping[str, Any]) -> str:
    """The page: complete, without scripts, and without anything to load.

    Args:
        report: parity.json as plain data. Names in it come from files and are escaped.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    folder = files("runtime_tests.report.html")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(size=plots.size_text, bits=plots.bits_text, figure=figure)
    template = environment.from_string((folder / "report.html.j2").read_text("utf-8"))
    style = Markup((folder / "style.css").read_text("utf-8"))
    return template.render(
        report=report,
        style=style,
        senses=SENSES,
        kinds=plots.KINDS,
        blocks=BLOCKS,
        systems=systems(report),
        figures={name: Markup(svg) for name, svg in drawn(report).items()},
    )


def drawn(report: Mapping[str, Any]) -> dict[str, str]:
    """SVG by name; a figure whose rung did not run is left out."""
    curves, out = report["curves"], {}
    located = report["localization"]
    if located and located["forced_db"]:  # the same measure, with more of it
        out["forced"] = plots.blocks("forced", located["forced_db"], curves["blocks_bar_db"])
        out["free"] = plots.blocks("free", located["free_db"], {})
    elif curves["blocks_db"]:
        out["blocks"] = plots.blocks("blocks", curves["blocks_db"], curves["blocks_bar_db"])
    if curves["steps"]:
        out["divergence"] = plots.divergence(curves["steps"], report["floor"])
        out["margin"] = plots.margin(curves["steps"])
        out["scatter"] = plots.scatter(curves["steps"])
    if found := systems(report):
        out["accuracy"] = plots.accuracy(found)
    if curves["bytes"]:
        out["sizes"] = plots.sizes(curves["bytes"])
    return out


def systems(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Rows of the accuracy table, when the task rung left one."""
    return list((report.get("accuracy") or {}).get("systems", ()))


def figure(value: float) -> str:
    """A number for reading: integers whole, others in four digits.

    >>> figure(2013265920.0), figure(0.00001234), figure(92.380)
    ('2013265920', '1.234e-05', '92.38')
    """
    return f"{int(value)}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"
