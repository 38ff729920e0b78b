"""The iOS sample: a Swift package and an app of it."""

from __future__ import annotations

from pathlib import Path

from convert.bundle.project import Project

PROJECT = Project(
    root=Path(__file__).parents[4] / "mobile_samples" / "ios",
    assets="App/bundle",
    kinds=frozenset({".c", ".h", ".json", ".md", ".modulemap", ".swift", ".xcstrings", ".yml"}),
    # Sources that only tests build stay, for Package.swift names them.
    left_out=frozenset({".build", ".swiftpm", "DerivedData", "bundle"}),
)
