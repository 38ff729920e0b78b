"""iOS: a bundle that an app takes in as it is."""

from __future__ import annotations

from convert.bundle.platform import Platform

PLATFORM = Platform("ios", "coreml")
