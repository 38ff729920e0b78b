"""The iOS sample's steps from no model to a chat and through every failure; engine, server and phone are doubles."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from convert import pipeline
from convert.plan import Request
from convert.progress import Silent
from tests.bundle.test_ios import JUDGE
from tests.samples.android.test_presenter import golden
from tests.samples.ios import preview
from tests.support import quick_build
from tests.support.android import kotlin_tools
from tests.support.android.kotlin_tools import Outcome
from tests.support.ios import swift_tools

SUITE = "ChatSuite"
CASE = re.compile(r'\bsuite\.run\("((?:[^"\\]|\\.)*)"\)')
CONTEXT = 96  # half of it is the longest answer: the suite knows that


def cases() -> list[str]:
    """Names of the suite's cases, as they stand in its sources."""
    files = sorted((swift_tools.IOS / "Sources" / SUITE).glob("*.swift"))
    return [json.loads(f'"{name}"') for file in files for name in CASE.findall(file.read_text("utf-8"))]


IMAGES = {
    "tokens": 70,
    "resize": {"rule": "largest_within", "multiple": 48, "filter": "bicubic"},
    "cut_by": {"formats": ["jpeg", "png"]},
}


def sealed(manifest: str, changes: dict[str, dict[str, Any]]) -> str:
    """A manifest with other files, which says how an image is cut, and its own digest made again."""
    fields = json.loads(manifest)
    fields["files"] |= changes
    fields["feeding"]["images"] = IMAGES
    fields["self_sha256"] = "0" * 64
    text = json.dumps(fields, indent=2)
    return text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest())


def judge(model: Path, checkpoint: Path, reports: Path) -> list[str]:
    code = JUDGE.replace("{report!r}", repr(quick_build.REPORT))
    return [sys.executable, "-c", code, str(model), str(reports), "pass"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's, with goldens that a double can answer."""
    swift_tools.built()
    out = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "judge", judge)
        asked = Request("ios", "demo", out, CONTEXT, (16,), flags={"app": "no"}, modalities=())
        folder = pipeline.build(asked, Silent()).bundle
    manifest = (folder / "manifest.json").read_text("utf-8")
    fields: dict[str, Any] = {"schema_version": 1, "stop_tokens": [1], "tolerance": 1.0, "mean_tolerance": 0.1}
    fields["artifact_sha256"] = json.loads(manifest)["parity"]["artifact_sha256"]
    fields["goldens"] = [
        golden("What is 17 + 25?", "42"),
        golden("Is a whale a fish?", "No, \u201cmammal\u201d \U0001f40b"),
    ]
    text = json.dumps(fields).encode()
    (folder / "golden.json").write_bytes(text)
    entry = {"golden.json": {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}}
    (folder / "manifest.json").write_text(sealed(manifest, entry), "utf-8")
    return folder


@pytest.fixture(scope="module")
def ran(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return swift_tools.suite(SUITE, bundle, tmp_path_factory.mktemp("work"))


@pytest.mark.parametrize("case", cases())
def test_presenter(ran: Outcome, case: str) -> None:
    assert kotlin_tools.failure(ran, case) == ""


def test_every_screen_can_be_drawn(bundle: Path) -> None:
    """By the app's own views, with stubs in the place of SwiftUI that make HTML of them."""
    pages = preview.pages(bundle / "manifest.json")
    assert len(pages) > 12
    for name, words in {
        "missing": ("demo takes 2.59 GB", "Download", "Choose a folder"),
        "testing": ("3 of 8",),
        "chat": ("Self-test passed on Neural Engine", "What is 17 + 25?", "3 tokens, 31.2 tokens/s"),
        "fallback": ("Not on GPU: the app ended while it was tried before",),
        "full": ("This conversation is full", "New chat", "Back to the chat"),
        "picture": ("Which flower is this, and where does it grow?", "<svg"),
        "picture-chosen": ("Your picture, 4032 by 3024 pixels",),
        "picture-refused": ("That is no picture this device can read. Choose another one.",),
        "about": ("Apache-2.0", "not run: the checkpoint brings no evaluation questions"),
    }.items():
        assert [word for word in words if word not in pages[name]] == [], name


def test_every_case_is_found() -> None:
    names = cases()
    assert len(names) == len(set(names)) > 40
