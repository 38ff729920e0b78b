"""parity.html: complete, self-contained, the same bytes every time, readable, and safe against names from files."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from convert import demo
from runtime_tests.litert.case import LitertCase
from runtime_tests.readers.checkpoint import open_checkpoint
from runtime_tests.readers.litert.litertlm import open_litertlm
from runtime_tests.report.html import page
from runtime_tests.report.strict import compact

Data = dict[str, Any]
TEXT, LARGE = 4.5, 3.0  # WCAG 2.2: contrast of text, of graphical objects


def check(name: str, found: float = 0.0, passed: bool = True) -> Data:
    return {"name": name, "found": found, "limit": 0.0, "sense": "equal", "unit": "dB", "note": "", "passed": passed}


def rung(name: str, status: str, why: str = "", checks: tuple[Data, ...] = ()) -> Data:
    return {"name": name, "question": "is it equal?", "status": status, "why": why, "checks": list(checks)}


def system(name: str, correct: int, source: str = "measured") -> Data:
    families = [{"name": "sums", "correct": correct, "total": 10}]
    beside = {"points": -10.0, "lost": 1, "gained": 0, "p": None if name == "reference" else 0.5}
    bounds = {"low": correct / 10 - 0.1, "high": correct / 10 + 0.1}
    named = {"name": name, "description": "", "source": source, "correct": correct, "total": 10}
    return {**named, **bounds, **beside, "families": families}


@pytest.fixture
def report() -> Data:
    steps = {
        "first_position": 45,
        "kl_nats": [1e-3, 0.0, 2e-4],
        "margin": [1.0, 0.2, 3.0],
        "near_tie_below": [0.5, 0.5, 0.5],
        "same_best": [1, 0, 1],
        "logits_reference": [0.0, 1.0, -2.0],
        "logits_artifact": [0.1, 1.0, -2.0],
    }
    share = {"component": "MLP", "bits": 4, "tensors": 3, "weight_bytes": 1000, "scale_bytes": 24}
    other = {"component": "graphs, metadata, padding", "bits": 0, "tensors": 0, "weight_bytes": 99, "scale_bytes": 0}
    place = {"layer": 3, "block": "mlp", "stage": "layers.3.mlp.up_proj", "fault": "up projection"}
    place |= {"signature": "decode", "db_before": 200.0, "db_after": 12.0}
    table = {"mlp": [140.0, 12.0, None], "attention": [120.0, 130.0, 140.0]}
    return {
        "verdict": "fail",
        "artifact": {"name": "model.litertlm", "sha256": "a" * 64, "size": 1123},
        "checkpoint": {"format": "mobile", "files": {"config.json": "b" * 64}},
        "floor": {"snr_db": 17.0, "mean_kl_nats": 0.1, "top1": 0.8},
        "rungs": [rung("0", "pass", checks=(check("codes"),)), rung("2b", "not run", why="no runtime")],
        "curves": {"blocks_db": table, "blocks_bar_db": {"mlp": 45.0}, "steps": steps, "bytes": [share, other]},
        "localization": {"why": "", "first": place, "others": [], "forced_db": table, "free_db": table, "compared": 9},
        "accuracy": {
            "questions": "evaluation.jsonl",
            "in_file": 9000,
            "matches": ["number", "one_of"],
            "left_out": 0,
            "systems": [system("float", 9, "recorded"), system("reference", 8), system("artifact", 8)],
        },
        "template": {
            "adapted": True,
            "added": 1,
            "removed": 1,
            "diff": "--- a\n+++ b\n@@ -1 +1 @@\n-{{ x }}\n+{{ y }}",
        },
        "versions": {"numpy": "2.4.6"},
    }


class Elements(HTMLParser):
    """Start tags with their attributes, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_every_part_of_the_report_is_on_the_page(report: Data) -> None:
    text = page.render(report)
    for words in ("✖ fail", "Not run:</strong> no runtime", "layers.3.mlp.up_proj", "b" * 64, "2.4.6", "9 of 10"):
        assert words in text, words
    labels = [attributes["aria-label"] for tag, attributes in Elements(text).found if tag == "svg"]
    assert [str(label).split(" ")[0] for label in labels] == ["SNR", "SNR", "KL", "Top-1", "3", "Accuracy:", "Bytes"]


def test_what_did_not_run_leaves_its_figures_out(report: Data) -> None:
    bare = {"blocks_db": None, "blocks_bar_db": {}, "steps": None, "bytes": report["curves"]["bytes"]}
    text = page.render(
        report | {"curves": bare, "localization": None, "accuracy": None, "floor": None, "template": None}
    )
    assert len([tag for tag, _ in Elements(text).found if tag == "svg"]) == 1
    assert "Where it departs" not in text
    assert "The chat template" not in text


def test_the_page_says_whether_the_chat_template_was_adapted_and_shows_each_changed_line(report: Data) -> None:
    text = page.render(report)
    assert "1 line added, 1 removed" in text
    assert '<code class="removed">-{{ x }}\n</code><code class="added">+{{ y }}\n</code>' in text
    assert text.index("<details") < text.index('<pre class="diff"'), "a long diff is closed at first"
    report["template"] = {"adapted": False, "added": 0, "removed": 0, "diff": ""}
    text = page.render(report)
    assert "<strong>As published:</strong>" in text
    assert "<pre" not in text


def test_the_same_report_gives_the_same_bytes(report: Data) -> None:
    assert page.render(copy.deepcopy(report)) == page.render(report)


def test_nothing_is_loaded_and_nothing_runs(report: Data) -> None:
    elements = Elements(page.render(report)).found
    assert not [tag for tag, _ in elements if tag in ("script", "img", "iframe", "object")]
    links = [value or "" for _, attributes in elements for name, value in attributes.items() if name.endswith("href")]
    assert links
    assert all(link.startswith(("#", "data:,")) for link in links), links
    assert "http" not in re.sub(r'http-equiv="', "", page.render(report))


def test_every_reference_inside_the_page_leads_to_one_element(report: Data) -> None:
    text = page.render(report)
    ids = [attributes["id"] for _, attributes in Elements(text).found if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text))
    targets |= set(re.findall(r'aria-labelledby="([^"]+)"', text))
    assert targets <= set(ids)


def test_names_from_files_are_text_and_never_markup(report: Data) -> None:
    evil = '<script>alert("x")</script>$\\frac{1}{2}$'
    report["artifact"]["name"] = evil
    report["rungs"][0]["checks"][0]["note"] = evil
    report["checkpoint"]["files"] = {evil: "c" * 64}
    report["accuracy"]["systems"][0]["name"] = evil
    report["accuracy"]["systems"][0]["description"] = evil
    report["curves"]["bytes"][0]["component"] = evil
    report["template"]["diff"] = evil
    text = page.render(report)
    assert "script" not in {tag for tag, _ in Elements(text).found}
    assert text.count("&lt;script&gt;") >= 7


def test_headings_descend_in_order_and_tables_are_labelled(report: Data) -> None:
    elements = Elements(page.render(report)).found
    assert dict(elements)["html"] == {"lang": "en"}
    levels = [int(tag[1]) for tag, _ in elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(attributes.get("scope") for tag, attributes in elements if tag == "th")
    tables = [attributes for tag, attributes in elements if tag == "table"]
    assert tables
    assert all(table.get("aria-label") and table.get("role") == "table" for table in tables)


def test_narrow_pages_name_the_column_of_every_figure(report: Data) -> None:
    elements = Elements(page.render(report)).found
    cells = [attributes for tag, attributes in elements if tag == "td"]
    assert len(cells) > 20
    assert all(cell.get("data-label") and cell.get("role") == "cell" for cell in cells)
    heads = [attributes.get("role") for tag, attributes in elements if tag == "th"]
    assert set(heads) == {"columnheader", "rowheader"}


def palettes() -> Iterator[dict[str, str]]:
    style = (files("runtime_tests.report.html") / "style.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(blocks) == 3  # light, dark, print
    for block in blocks:
        found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", block))
        yield {
            name: colour if len(colour) == 7 else "#" + "".join(2 * c for c in colour[1:])
            for name, colour in found.items()
        }


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_text_and_curves_stand_out_in_light_in_dark_and_in_print() -> None:
    for colours in palettes():
        for behind in ("page", "panel", "pass-panel", "fail-panel"):
            for ink in ("ink", "muted", "link", "pass", "fail", "wait"):
                assert contrast(colours[ink], colours[behind]) >= TEXT, (ink, behind, colours)
        assert all(contrast(colours[f"s{i}"], colours["panel"]) >= LARGE for i in range(1, 8)), colours


def test_the_bytes_of_all_components_are_the_file(demo_file: Path) -> None:
    found = LitertCase(open_litertlm(demo_file), open_checkpoint(demo.folder())).shares()
    assert sum(share.weight_bytes + share.scale_bytes for share in found) == demo_file.stat().st_size
    assert {("MLP", 2), ("attention", 4), ("per-layer input", 8)} <= {(s.component, s.bits) for s in found}
    assert all(share.weight_bytes >= 0 for share in found)


def test_lists_of_numbers_take_one_line() -> None:
    assert compact('{\n  "a": [\n    1e-05,\n    -2.5,\n    null\n  ],\n  "b": [\n    "[\\n 1]"\n  ]\n}') == (
        '{\n  "a": [1e-05, -2.5, null],\n  "b": [\n    "[\\n 1]"\n  ]\n}'
    )
