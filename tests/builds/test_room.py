"""Is there room for a build here: memory of machines and containers as the kernel tells it, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from convert import costs, memory, plan, room
from convert.checkpoint import open_checkpoint
from convert.costs import Rates, Stage
from convert.errors import PlanError
from convert.memory import Memory, available
from convert.plan import Request
from tests.fullsize.against_plan import ask, table

GB = 10**9
MEMINFO = "MemTotal: 24000000 kB\nMemAvailable:   20000000 kB\nSwapFree: 1000000 kB\nHugePages_Total: 0\n"


def system(root: Path, cgroup: str, files: dict[str, str], meminfo: str = MEMINFO) -> Memory:
    """What is available where ``/proc`` and ``/sys/fs/cgroup`` say this."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "meminfo").write_text(meminfo)
    (root / "proc" / "self" / "cgroup").write_text(cgroup)
    for name, content in files.items():
        path = root / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return available(root / "proc", root / "cgroup")


def test_without_a_container_it_is_what_the_machine_can_give(tmp_path: Path) -> None:
    assert system(tmp_path, "0::/\n", {}) == Memory(20_480_000_000, 1_024_000_000)


def test_a_containers_limit_counts_with_its_file_pages_given_back(tmp_path: Path) -> None:
    files = {
        "memory.max": "4000000000\n",
        "memory.current": "3000000000\n",
        "memory.stat": "anon 500000000\nfile 2500000000\nactive_file 1500000000\ninactive_file 1000000000\n",
        "memory.swap.max": "0\n",
    }
    assert system(tmp_path, "0::/\n", files) == Memory(3_500_000_000, 0, 4_000_000_000)


def test_the_narrowest_of_nested_limits_counts(tmp_path: Path) -> None:
    files = {
        "memory.max": "max\n",
        "a/memory.max": "2000000000\n",
        "a/memory.current": "0\n",
        "a/b/memory.max": "3000000000\n",
        "a/b/memory.current": "0\n",
    }
    assert system(tmp_path, "0::/a/b\n", files) == Memory(2_000_000_000, 1_024_000_000, 2_000_000_000)


def test_the_first_version_of_cgroups_is_read_as_well(tmp_path: Path) -> None:
    files = {
        "memory/docker/x/memory.limit_in_bytes": "1000000000\n",
        "memory/docker/x/memory.usage_in_bytes": "900000000\n",
        "memory/docker/x/memory.stat": "inactive_file 1\ntotal_active_file 0\ntotal_inactive_file 800000000\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.usage_in_bytes": "5000000000\n",
    }
    found = system(tmp_path, "5:cpu:/\n4:memory:/docker/x\n0::/\n", files)
    assert found == Memory(900_000_000, 1_024_000_000, 1_000_000_000)


def test_a_group_whose_folder_is_not_mounted_here_is_that_of_the_mount(tmp_path: Path) -> None:
    files = {"memory/memory.limit_in_bytes": "1000000000\n", "memory/memory.usage_in_bytes": "0\n"}
    assert system(tmp_path, "4:memory:/docker/x\n", files).free == 1_000_000_000


def test_a_system_without_these_files_has_all_its_memory(tmp_path: Path) -> None:
    assert available(tmp_path, tmp_path).free > 0


STAGES = (
    Stage("convert", 1.0, 1 * GB, 0, 5 * GB),
    Stage("rung 2b", 1.0, 12 * GB, 4 * GB, 9 * GB),
    Stage("publish", 1.0, 14 * GB, 13 * GB, 5 * GB),
)


@pytest.mark.parametrize(
    ("free", "swap", "lacking", "tight"),
    [(8.0, 0, 0, 0), (7.9, 0, 0, 1), (6.5, 0, 0, 1), (6.3, 0, 1, 0), (5.0, 1.5, 0, 1), (5.0, 1.0, 1, 0)],
)
def test_memory_is_refused_only_when_it_is_clearly_too_small(
    free: float, swap: float, lacking: int, tight: int
) -> None:
    """Of 12 GB 4 GB are pages of files; the estimate of the rest may be a fifth too high; swap space helps."""
    found = room.room(STAGES, 100 * GB, Memory(int(free * GB), int(swap * GB)))
    assert (len(found.lacking), len(found.tight)) == (lacking, tight)


def test_what_is_lacking_is_said_with_the_stage_and_both_numbers() -> None:
    found = room.room(STAGES, 8 * GB, Memory(2 * GB, 0, 3 * GB))
    assert [said for said, _ in found.lacking] == [
        "rung 2b needs 9.00 GB of disk and 8.00 GB are free",
        "rung 2b needs about 8.00 GB of memory and 2.00 GB are free of this container's 3.00 GB",
    ]
    assert found.lacking[1][1] == "Give the container more memory, or use a larger machine"


def test_a_bundle_that_memory_is_too_small_for_is_refused_and_its_plan_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "available", lambda: Memory(100_000_000))
    request = Request("android", "demo", tmp_path / "out")
    with pytest.raises(
        PlanError, match=r"^bundle android demo: rung \w+ needs about \d\.\d\d GB of memory and 0\.10 GB"
    ):
        plan.make(request, open_checkpoint("demo"), "demo")
    shown = plan.make(replace(request, verb="plan"), open_checkpoint("demo"), "demo")
    assert "of memory and 0.10 GB are free" in shown.room.lacking[0][0]
    assert not (tmp_path / "out").exists()


def test_costs_grow_with_what_causes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rate = Rates(1e11, 1e9, 5e8)
    monkeypatch.setattr(costs, "rates", lambda: rate)
    checkpoint = open_checkpoint("demo")
    short = plan.make(Request("android", "demo", Path("dist"), context=256), checkpoint, "demo")
    long = plan.make(Request("android", "demo", Path("dist"), context=2048), checkpoint, "demo")
    assert (long.disk_needed, long.memory_needed) > (short.disk_needed, short.memory_needed)
    monkeypatch.setattr(costs, "rates", lambda: Rates(1e10, 1e8, 5e7))
    slow = plan.make(Request("android", "demo", Path("dist"), context=256), checkpoint, "demo")
    assert slow.seconds > short.seconds
    assert [stage.name for stage in short.stages] == [
        *("digest", "convert", "noise floor", "rung 0", "rung 1", "rung 2a", "rung 2b", "rung 3", "rung 4", "report"),
        *("papers", "publish"),
    ]


def test_a_plan_stands_beside_what_a_bundle_took(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Taken:
        stage: str
        seconds: float
        resident: int
        disk: int

    planned = ask(["android", "demo", "--apk", "skip", "--questions", "5", "--out", str(tmp_path), "--context", "160"])
    assert planned is not None
    assert planned["options"]["context"] == 160
    shown = table(planned, [Taken("rung 2a", 120.0, 3 * GB, 5 * GB), Taken("judge: open", 1.0, 1, 1)])
    (line,) = (line for line in shown.splitlines() if line.startswith("rung 2a"))
    assert line.split()[3] == "2.00"
    assert line.endswith("5.00 GB")
    assert "judge: open" not in shown
    assert ask(["android", str(tmp_path / "none")]) is None


def test_a_machine_tells_its_rates() -> None:
    assert min(costs.rates.__wrapped__().flops, costs.rates().bytes, costs.rates().hashed) > 0
    assert memory.available().free > 0
