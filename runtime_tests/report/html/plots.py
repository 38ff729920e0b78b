"""The figures of the report, each from the plain data of parity.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime_tests.report.html.svg import COLOURS, FAINT, INK, draw, legend

Data = Mapping[str, Any]
KINDS = {  # order of execution; each with a colour and a marker of its own
    "input": "first residual",
    "per_layer_input": "per-layer input",
    "key": "keys",
    "value": "values",
    "attention": "attention",
    "mlp": "MLP",
    "output": "layer output",
}
MARKERS = "sDv^oXP"
SMALLEST_KL = 1e-12  # nats; the logarithmic axis ends here
UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
BITS = {2: 0, 4: 1, 8: 2, 16: 3, 32: 4, 0: 5}


def blocks(name: str, table: Data, bars: Data) -> str:
    """SNR of each kind of block by layer, and the bars by kind."""
    worst = min(value for row in table.values() for value in row if value is not None)

    def paint(axes: Any) -> None:
        for i, (kind, title) in enumerate(KINDS.items()):
            points = [(layer, value) for layer, value in enumerate(table.get(kind, ())) if value is not None]
            if points:
                style = {"color": COLOURS[i], "marker": MARKERS[i], "markersize": 4.5, "linewidth": 1.2}
                axes.plot(*zip(*points, strict=True), label=title, **style)
        for bar in sorted({bars[kind] for kind in table if kind in bars}):
            axes.axhline(bar, color=INK, linewidth=1, linestyle="--")
            axes.annotate(f"bar {bar:g} dB", (0, bar), xytext=(0, 3), textcoords="offset points", fontsize=10)
        axes.set_xlabel("layer")
        axes.set_ylabel("SNR in dB")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_ylim(bottom=min(0.0, worst) - 2)
        legend(axes, 3)

    layers = max(len(row) for row in table.values())
    return draw(name, 290, f"SNR of every block over {layers} layers; the worst is {worst:g} dB", paint)


def divergence(steps: Data, floor: Data | None) -> str:
    """KL of each forced step."""
    values = [max(value, SMALLEST_KL) for value in steps["kl_nats"]]

    def paint(axes: Any) -> None:
        axes.plot(_positions(steps), values, color=COLOURS[0], marker="o", markersize=3, linewidth=1, label="artifact")
        if floor is not None and floor["mean_kl_nats"] > 0:
            axes.axhline(floor["mean_kl_nats"], color=INK, linewidth=1, linestyle="--", label="noise floor, mean")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda *_: "")
        axes.set_xlabel("position")
        axes.set_ylabel("KL in nats")
        legend(axes, 2)

    return draw("divergence", 220, f"KL of {len(values)} forced steps; the largest is {max(values):.2g} nats", paint)


def margin(steps: Data) -> str:
    """The reference's margin of each forced step, what of it is a near-tie, and where the best token differs."""
    where, values, same = _positions(steps), steps["margin"], steps["same_best"]
    wrong = [(p, m) for p, m, s in zip(where, values, same, strict=True) if not s]

    def paint(axes: Any) -> None:
        limit = steps["near_tie_below"]
        axes.plot(where, values, color=COLOURS[0], marker="o", markersize=3, linewidth=1, label="margin")
        axes.plot(where, limit, color=FAINT, linewidth=1, linestyle="--", label="near-tie below")
        axes.set_ylim(0, 1.1 * max(*values, 1e-6, *(v for v in limit if v <= 2 * max(values))))
        if wrong:
            axes.plot(*zip(*wrong, strict=True), "X", color=COLOURS[4], markersize=7, label="other token")
        axes.set_xlabel("position")
        axes.set_ylabel("margin in logits")
        legend(axes, 3)

    label = f"Top-1 margin of {len(values)} forced steps; the best token differs at {len(wrong)}"
    return draw("margin", 220, label, paint)


def scatter(steps: Data) -> str:
    """Sampled logits, artifact over reference."""
    x, y = steps["logits_reference"], steps["logits_artifact"]

    def paint(axes: Any) -> None:
        ends = [min(*x, *y), max(*x, *y)]
        axes.plot(ends, ends, color=FAINT, linewidth=1, linestyle="--", label="equal")
        axes.plot(x, y, "o", color=COLOURS[0], markersize=2.5, alpha=0.6, label="a logit")
        axes.set_xlabel("reference")
        axes.set_ylabel("artifact")
        legend(axes, 2)

    apart = max(abs(a - b) for a, b in zip(x, y, strict=True))
    return draw("scatter", 300, f"{len(x)} logits, artifact over reference; at most {apart:.2g} apart", paint)


def accuracy(systems: Sequence[Data]) -> str:
    """Fraction of right answers of each system, with 95 % Wilson intervals."""

    def paint(axes: Any) -> None:
        for i, system in enumerate(systems):
            share, low, high = _share(system), 100 * system["low"], 100 * system["high"]
            colour = COLOURS[0] if system["source"] == "measured" else COLOURS[5]
            axes.barh(i, share, height=0.42, color=colour, alpha=0.75)
            axes.errorbar(share, i, xerr=[[share - low], [high - share]], color=INK, capsize=4, linewidth=1.2)
            axes.annotate(f"{_cut(system['name'])}  {share:.1f} %", (0, i - 0.27), fontsize=10, va="bottom")
        axes.set_yticks([])
        axes.set_xlim(0, 100)
        axes.set_ylim(len(systems) - 0.6, -0.75)
        axes.set_xlabel("right answers in %")
        axes.grid(visible=False, axis="y")

    label = "Accuracy: " + "; ".join(f"{_cut(s['name'])} {_share(s):.1f} %" for s in systems)
    return draw("accuracy", 70 + 46 * len(systems), label, paint)


def sizes(shares: Sequence[Data]) -> str:
    """Bytes by component, split by bits."""
    names = list(dict.fromkeys(share["component"] for share in shares))
    totals = {n: sum(_bytes(share) for share in shares if share["component"] == n) for n in names}
    names.sort(key=lambda name: (-totals[name], name))
    unit, word = next(entry for entry in UNITS if max(totals.values()) >= entry[0] or entry[0] == 1.0)

    def paint(axes: Any) -> None:
        seen: set[int] = set()
        for i, name in enumerate(names):
            left = 0.0
            for share in (share for share in shares if share["component"] == name):
                bits, width = share["bits"], _bytes(share) / unit
                label = None if bits in seen else bits_text(bits)
                axes.barh(i, width, left=left, height=0.42, color=COLOURS[BITS.get(bits, 5)], label=label)
                seen.add(bits)
                left += width
            axes.annotate(f"{name}  {size_text(totals[name])}", (0, i - 0.27), fontsize=10, va="bottom")
        axes.set_yticks([])
        axes.set_ylim(len(names) - 0.6, -0.75)
        axes.set_xlabel(word)
        axes.grid(visible=False, axis="y")
        legend(axes, 3, [bits_text(bits) for bits in sorted(seen, key=lambda bits: BITS.get(bits, 5))])

    label = "Bytes by component: " + "; ".join(f"{name} {size_text(totals[name])}" for name in names)
    return draw("sizes", 100 + 36 * len(names), label, paint)


def size_text(size: float) -> str:
    """Bytes in a readable unit.

    >>> size_text(1536), size_text(2_588_147_712), size_text(12)
    ('1.54 kB', '2.59 GB', '12 B')
    """
    unit, word = next(entry for entry in UNITS if size >= entry[0] or entry[0] == 1.0)
    return f"{size / unit:.3g} {word}"


def bits_text(bits: int) -> str:
    """How the weights are stored.

    >>> bits_text(4), bits_text(16), bits_text(0)
    ('4 bits', '16-bit float', 'no weights')
    """
    return "no weights" if not bits else f"{bits} bits" if bits <= 8 else f"{bits}-bit float"


def _bytes(share: Data) -> int:
    return int(share["weight_bytes"] + share["scale_bytes"])


def _share(system: Data) -> float:
    return float(100 * system["correct"] / max(1, system["total"]))


def _positions(steps: Data) -> list[int]:
    return [steps["first_position"] + i for i in range(len(steps["kl_nats"]))]


def _cut(name: str) -> str:
    return name if len(name) <= 36 else name[:35] + "…"
