"""How a bundle and its files are called."""

from __future__ import annotations

import re

from convert.errors import PlanError

PARITY, PAGE, GOLDEN, MANIFEST = "parity.json", "parity.html", "golden.json", "manifest.json"
PAPERS = frozenset({PARITY, PAGE, GOLDEN, "LICENSE", "NOTICE"})

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_RULE = "letters, digits, '.', '_' and '-', beginning with a letter or digit, 100 at most"
# Windows keeps these for devices, whatever follows after a dot; bundles are copied there too.
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})


def bundle_name(name: str, asked: str, given: bool = False) -> str:
    """``name`` if it can be a folder name on any system.

    Args:
        given: with ``--name``; otherwise it is the checkpoint's own.

    Raises:
        PlanError: it cannot.
    """
    reserved = name.partition(".")[0].lower() in _RESERVED
    if _NAME.fullmatch(name) and not name.endswith((".", ".work")) and not reserved:
        return name
    if given:
        found = f"--name {name!r} is {'a name of devices on Windows' if reserved else 'no plain name'}"
        raise PlanError(asked, found, f"Give {_RULE}")
    advice = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-._")[:100]
    if not _NAME.fullmatch(advice) or advice.endswith(".work") or advice.partition(".")[0].lower() in _RESERVED:
        advice = "my-model"
    raise PlanError(asked, f"the bundle would be called {name!r}", f"Give it another name: --name {advice}")
