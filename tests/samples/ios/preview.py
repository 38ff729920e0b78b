"""Draws the iOS app's screens as web pages, to be looked at where nothing can run the app.

``python -m tests.samples.ios.preview MANIFEST FOLDER`` writes one picture for each screen, theme and text size; it
needs Chromium, Swift for Linux and the ``manifest.json`` of an iOS bundle.

The views, words and colours are the app's own: they are compiled against the stubs in ``tests/support/ios/stubs``,
which make HTML of what SwiftUI would draw. How stacks, fonts, bars and lists come out is a browser's idea and not
Apple's: SF Symbols are signs of Unicode, 200 % is twice every text, which Dynamic Type is not, and nothing scrolls or
moves. So this finds words that do not fit, colours that do not go together and screens that look wrong, and proves
nothing about a phone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.samples.ios import test_app
from tests.support.commands import REPOSITORY
from tests.support.ios import swift_root, swift_tools

SOURCE = REPOSITORY / "tests" / "support" / "ios" / "preview"
# Without what needs Core ML or the device.
LEFT_OUT = frozenset(f"{name}.swift" for name in ("SampleApp", "Shown", "ThisPhone", "Launch", "Photos", "Photo"))
WIDTH, HEIGHT = 390, 844  # points of a common phone
# The system's own colours: page, text, page of grouped lists, their cells.
SYSTEM = {
    False: {"Page": "#FFFFFF", "Ink": "#000000", "Grouped": "#F2F2F7", "Cell": "#FFFFFF"},
    True: {"Page": "#000000", "Ink": "#FFFFFF", "Grouped": "#1C1C1E", "Cell": "#2C2C2E"},
}


def pages(manifest: Path) -> dict[str, str]:
    """HTML of every screen, by name."""
    built = swift_tools.built().resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "manifest.json").write_bytes(manifest.read_bytes())
        mounts = {swift_tools.IOS: "/package", test_app.STUBS: "/stubs", built: "/built", folder: "/out"}
        mounts[SOURCE] = "/preview"
        flags = ["swiftc", "-O", "-wmo", "-I", "/out", "-I", "/built/Modules"]

        def run(*words: str) -> str:
            done = swift_root.inside(swift_tools.root(), mounts, words)
            if done.returncode:
                raise SystemExit(f"error: preview: {(done.stdout + done.stderr)[-3000:]}")
            return done.stdout

        objects = []
        for module in test_app.MODULES:
            if module == "CoreML":
                continue
            files = [f"/stubs/{module}/{path.name}" for path in sorted((test_app.STUBS / module).glob("*.swift"))]
            emit = ["-emit-module", "-emit-module-path", f"/out/{module}.swiftmodule", "-module-name", module]
            run(*flags, "-swift-version", "6", "-parse-as-library", *emit, "-c", "-o", f"/out/{module}.o", *files)
            objects.append(f"/out/{module}.o")
        for module in ("GemmaChat", "GemmaCore"):
            objects += [
                f"/built/{module}.build/{path.name}" for path in sorted((built / f"{module}.build").glob("*.o"))
            ]
        views = [f"/package/App/{path.name}" for path in test_app.sources() if path.name not in LEFT_OUT]
        words = ["-swift-version", "6", *test_app.FOUNDATION, "-module-name", "Preview", "-o", "/out/preview"]
        run(*flags, *words, "/preview/main.swift", *views, *objects)
        lines = run("/out/preview", "/out/manifest.json").splitlines()
    return {line["name"]: line["html"] for line in map(json.loads, lines)}


def colours(dark: bool) -> str:
    """The asset catalog and the system's colours as CSS variables."""
    found = dict(SYSTEM[dark])
    for path in (test_app.APP / "Assets.xcassets").glob("*.colorset"):
        for one in json.loads((path / "Contents.json").read_text("utf-8"))["colors"]:
            if ("appearances" in one) == dark:
                parts = one["color"]["components"]
                found[path.stem] = "#" + "".join(parts[key].removeprefix("0x") for key in ("red", "green", "blue"))
    return ";".join(f"--{name}:{value}" for name, value in found.items())


def page(inside: str, dark: bool, scale: float) -> str:
    variables = f"{colours(dark)};--s:{scale:g};--anchor:flex-start;--dir:column;--end:0"
    font = "calc(17px*var(--s))/1.3 system-ui,'Noto Sans','DejaVu Sans',sans-serif"
    size = f"margin:0;padding-top:40px;width:{WIDTH}px;height:{HEIGHT}px"
    look = f"{variables};{size};background:var(--Page);color:var(--Ink);font:{font}"
    # What takes all the width there is makes everything around it do so.
    rules = "*{box-sizing:border-box}div{overflow-wrap:break-word}.wide,div:has(.wide){width:100%;flex-grow:1}"
    return f'<!DOCTYPE html><meta charset="utf-8"><style>{rules}</style><body style="{look}">{inside}'


def main(manifest: Path, folder: Path) -> None:
    """Writes ``<screen>-<theme>-<text size>.png`` and the pages they were taken of."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("error: preview needs Chromium, which is not on PATH")
    folder.mkdir(parents=True, exist_ok=True)
    for name, inside in pages(manifest).items():
        for dark in (False, True):
            for scale in (1.0, 2.0):
                stem = folder / f"{name}-{'dark' if dark else 'light'}-{scale:g}x"
                stem.with_suffix(".html").write_text(page(inside, dark, scale), "utf-8")
                flags = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}"]
                shot = [f"--screenshot={stem.with_suffix('.png')}", stem.with_suffix(".html").as_uri()]
                subprocess.run([browser, *flags, *shot], check=True, capture_output=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).resolve())
