"""The Android sample as a Gradle project."""

from __future__ import annotations

from pathlib import Path

from convert.bundle.project import Project

PROJECT = Project(
    root=Path(__file__).parents[4] / "mobile_samples" / "android",
    assets="app/src/main/assets/model",
    kinds=frozenset({".c", ".h", ".kt", ".kts", ".md", ".pro", ".properties", ".toml", ".xml"}),
    left_out=frozenset({"build", "signing", ".gradle", ".idea", ".kotlin", ".cxx", "local.properties", "assets"}),
)
