"""The disk that a build needs: what was measured on a file system of its own, and a build in just what was planned."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from convert import costs, plan
from convert.checkpoint import open_checkpoint
from convert.plan import Request
from convert.progress import Silent
from convert.targets import all_targets
from tests.support.commands import REPOSITORY, convert

# The most that lay on a tmpfs of its own while a bundle was built there, by statvfs every 10 ms; in bytes.
MEASURED = {
    ("demo", "android", "skip", 2048): 24_231_936,
    ("demo", "android", "auto", 2048): 92_839_936,
    ("demo", "ios", "skip", 2048): 3_182_592,
    ("q4_0_e2b", "android", "skip", 512): 19_054_592,
    ("q4_0_e2b", "android", "skip", 448): 18_628_608,
    ("q4_0_e2b", "ios", "skip", 512): 4_517_888,
}


@pytest.mark.parametrize("case", MEASURED, ids=lambda case: " ".join(map(str, case)))
def test_a_plan_covers_the_most_that_was_measured(
    case: tuple[str, str, str, int], request: pytest.FixtureRequest
) -> None:
    name, platform, apk, context = case
    model = name if name == "demo" else str(request.getfixturevalue(name))
    flags = {"apk": apk} if platform == "android" else {}
    asked = Request(platform, model, Path("dist"), context=context, flags=flags)
    made = plan.make(asked, open_checkpoint(model), "demo")
    assert MEASURED[case] < made.disk_needed < 5 * MEASURED[case]


def test_a_model_file_alone_needs_no_more_than_itself() -> None:
    made = plan.make(Request("android", "demo", Path("dist"), verb="convert"), open_checkpoint("demo"), "demo")
    assert made.disk_needed == made.weight_bytes


def in_a_disk_of(size: int, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the converter where ``folder`` is a file system of ``size`` bytes."""
    script = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'
    command = ["unshare", "-m", "bash", "-c", script, "x", str(size), str(folder), sys.executable, "-m", "convert"]
    return subprocess.run([*command, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)


def can_mount() -> bool:
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    script = "mount -t tmpfs tmpfs /mnt"
    return subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, check=False).returncode == 0


root = pytest.mark.skipif(not can_mount(), reason="only root may mount a file system to measure in")


@root
@pytest.mark.slow
def test_a_bundle_is_built_in_just_the_disk_that_was_planned(tmp_path: Path, mobile_e2b: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    flags = ("--out", str(disk), "--context", "192", "--prefill", "16,64", "--apk", "skip", "--modalities", "text")
    needed = plan.make(
        Request("android", str(mobile_e2b), disk, context=192, prefill=(16, 64), flags={"apk": "skip"}, modalities=()),
        open_checkpoint(mobile_e2b),
        "demo",
    ).disk_needed
    ran = in_a_disk_of(needed + 8192, disk, "bundle", "android", str(mobile_e2b), *flags)
    assert ran.returncode == 0, ran.stderr
    ran = in_a_disk_of(needed // 2, disk, "bundle", "android", str(mobile_e2b), *flags)
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert "GB of disk" in ran.stderr


@pytest.mark.parametrize("name", ["demo", "mobile_e4b", "q4_0_e2b"])
@pytest.mark.parametrize(
    ("target", "flags"),
    [
        ("litert", {}),
        ("coreml", {}),
        ("coreml", {"precision": "float32"}),
        ("coreml", {"profile": "ane"}),
    ],
)
def test_a_models_size_is_estimated_upwards_and_by_little_more_than_the_margin(
    target: str, flags: dict[str, str], name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if (name, flags.get("profile")) == ("q4_0_e2b", "ane"):
        pytest.skip("not run: the profile takes no scales of blocks")
    checkpoint = open_checkpoint(name if name == "demo" else str(request.getfixturevalue(name)))
    kind = all_targets()[target]
    options = kind.options(context=96, prefill=(16,), **flags)
    kind.convert(checkpoint, options, tmp_path / kind.model, Silent())
    sizes = {path.name: path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()}
    made = kind.sizes(checkpoint, options).model
    assert sum(sizes.values()) <= made
    # Small models are mostly overhead, so what grows with the weights is looked at by itself.
    weights = sum(size for name, size in sizes.items() if name.endswith((".bin", ".rows")))
    weights = weights or sum(share.code_bytes + share.scale_bytes for share in kind.describe(tmp_path).weights)
    assert weights <= made - costs.OVERHEAD <= 1.2 * weights


def test_a_plan_says_what_is_needed(tmp_path: Path) -> None:
    assert " needed, " in convert("plan", "android", "demo", "--out", tmp_path).out
