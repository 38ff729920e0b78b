"""The base of everything that is written as JSON, and how figures are shortened for it."""

from __future__ import annotations

import math
import re

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of all parts: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def short(value: float) -> float:
    """Four significant digits; what is not finite becomes a huge number, for JSON has no infinity.

    >>> short(123.456), short(0.000123456), short(float("inf"))
    (123.5, 0.0001235, 1e+300)
    """
    if not math.isfinite(value):
        return -1e300 if value < 0 else 1e300
    return float(f"{value:.4g}")


def compact(text: str) -> str:
    r"""Indented JSON with every list of numbers on one line. Strings hold no bare line breaks, so none is touched.

    >>> compact('{\n "a": [\n  1,\n  null\n ]\n}')
    '{\n "a": [1, null]\n}'
    """
    numbers = re.compile(r"\[\n\s*((?:-?[\d.][\d.e+-]*|null)(?:,\s+(?:-?[\d.][\d.e+-]*|null))*)\n\s*\]")
    return numbers.sub(lambda found: f"[{' '.join(found[1].split())}]", text)
