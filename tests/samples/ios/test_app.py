"""The half of the iOS sample that Apple's compilers build: types against stubs of their frameworks, words, project.

The stubs have the signatures that Apple documents, of the few things that are used. What they show is that the app is
Swift without a mistake of types or of isolation, and not how Apple's own frameworks take it.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.support.commands import REPOSITORY
from tests.support.ios import swift_root, swift_tools

APP = swift_tools.IOS / "App"
COREML = swift_tools.IOS / "Sources" / "GemmaCoreML"
STUBS = REPOSITORY / "tests" / "support" / "ios" / "stubs"
# In the order in which they import each other.
MODULES = (
    *("os", "UniformTypeIdentifiers", "Accessibility", "CoreGraphics", "ImageIO", "UIKit", "AppleFoundation", "CoreML"),
    *("SwiftUI", "PhotosUI"),
)
LITERAL = re.compile(r'"((?:[^"\\\n]|\\\((?:[^()]|\([^()]*\))*\)|\\.)*)"')
# What comes before texts that nobody reads on the screen: names of files, colours and symbols, ways to run the app.
NOT_SHOWN = re.compile(
    r'(systemName|systemImage|Color|appending|forInfoDictionaryKey|contains|Place)\b[^"]*"[^"]*$'
    r'|\? "[^"]*" : "$|(passed|good) \? "$|== "$'
)


def sources(folder: Path = APP) -> list[Path]:
    return sorted(folder.glob("*.swift"))


def run(folder: Path, *words: str) -> str:
    """What the compiler says, in ``folder``; empty where it has nothing to say."""
    if sys.platform == "darwin":
        pytest.skip("on macOS Xcode compiles the app itself")
    modules = swift_tools.built().resolve() / "Modules"
    mounts = {swift_tools.IOS: "/package", STUBS: "/stubs", modules: "/modules", folder: "/out"}
    flags = ["-I", "/out", "-I", "/modules", "-parse-as-library", "-warnings-as-errors"]
    done = swift_root.inside(swift_tools.root(), mounts, ["swiftc", *flags, *words])
    said = done.stdout + done.stderr
    assert done.returncode == 0 or said, f"swiftc ended with {done.returncode}"
    return said


def emit(folder: Path, name: str, files: list[str], version: str = "6") -> str:
    words = ["-swift-version", version, "-emit-module", "-module-name", name]
    return run(folder, *words, "-emit-module-path", f"/out/{name}.swiftmodule", *files)


FOUNDATION = ("-Xfrontend", "-import-module", "-Xfrontend", "AppleFoundation")


@cache
def stubs(folder: Path) -> Path:
    """A folder with the modules that the app imports."""
    for name in MODULES:
        files = [f"/stubs/{name}/{path.name}" for path in sorted((STUBS / name).glob("*.swift"))]
        # Core ML's headers know nothing of Swift's concurrency: its module is one of the older language.
        said = emit(folder, name, files, "5" if name == "CoreML" else "6")
        assert said == "", f"{name}: {said}"
    return folder


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stubs(tmp_path_factory.mktemp("stubs"))


@pytest.fixture(scope="module")
def whole(modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With GemmaCoreML, compiled against the stub of Core ML."""
    folder = Path(shutil.copytree(modules, tmp_path_factory.mktemp("whole") / "modules"))
    files = [f"/package/Sources/GemmaCoreML/{path.name}" for path in sources(COREML)]
    said = emit(folder, "GemmaCoreML", [*FOUNDATION, *files])
    assert said == "", said
    return folder


def checked(folder: Path, files: list[str]) -> str:
    return run(folder, "-swift-version", "6", "-typecheck", "-module-name", "GemmaSample", *FOUNDATION, *files)


def in_package() -> list[str]:
    return [f"/package/App/{path.name}" for path in sources()]


def test_the_app_has_the_types_that_apples_frameworks_ask_for(whole: Path) -> None:
    assert checked(whole, in_package()) == ""


@pytest.mark.parametrize(
    ("file", "right", "wrong", "said"),
    [
        ("CardView.swift", "spacing: 12", 'spacing: "12"', "cannot convert value of type"),
        ("ChatView.swift", ".accessibilityLabel(Words.said(message))", ".accessibilityLable(message)", "has no member"),
        ("PictureViews.swift", "let detach: @MainActor () -> Void", "let detach: () -> Void", "data races"),
        ("Photo.swift", "Extent(high, wide)", "(high, wide)", "mismatching types"),
        ("Camera.swift", "info[.originalImage] as? UIImage", "info[.originalImage]", "cannot convert"),
        ("Words.swift", "case .goOn:", "case .forward:", "has no member"),
        ("Words.swift", '        case .back: return String(localized: "Back to the chat")\n', "", "must be exhaustive"),
        ("Shown.swift", "CoreMLFactory(manifest: manifest,", "CoreMLFactory(manifest: folder,", "cannot convert"),
    ],
)
def test_a_mistake_of_types_is_found(whole: Path, tmp_path: Path, file: str, right: str, wrong: str, said: str) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "modules"))
    text = (APP / file).read_text("utf-8")
    assert right in text
    (folder / file).write_text(text.replace(right, wrong, 1), "utf-8")
    files = [f"/out/{file}" if name.endswith(f"/{file}") else name for name in in_package()]
    assert said in checked(folder, files)


def interpolated(text: str) -> str:
    """A literal as the key that Xcode makes of it; numbers and texts alike are ``%@`` here."""
    return re.sub(r"\\\((?:[^()]|\([^()]*\))*\)", "%@", text).replace("%lld", "%@")


def words() -> set[str]:
    found = re.compile(r'String\(\s*localized:\s*"((?:[^"\\]|\\\((?:[^()]|\([^()]*\))*\)|\\.)*)"')
    return {interpolated(text) for path in sources() for text in found.findall(path.read_text("utf-8"))}


def catalog() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((APP / "Localizable.xcstrings").read_text("utf-8"))
    return read


def test_the_catalog_has_every_text_of_the_app_and_no_other() -> None:
    listed = {interpolated(key) for key in catalog()["strings"]}
    assert words() == listed
    assert len(listed) > 60


def test_no_view_has_a_text_of_its_own() -> None:
    """All are in the files of words: a literal anywhere else is a name, a symbol or a way to run."""
    stray = []
    for path in sources():
        if path.name in ("Words.swift", "Help.swift"):
            continue
        for line in path.read_text("utf-8").splitlines():
            code = line.split("//")[0] if "://" not in line else line
            for match in LITERAL.finditer(code):
                if re.search("[A-Za-z]{2}", match[1]) and not NOT_SHOWN.search(code[: match.start() + 1]):
                    stray.append(f"{path.name}: {match[0]}")
    assert stray == ["ThisPhone.swift: " + '"\\(ThisPhone.model), \\(UIDevice.current.systemName) '
                     '\\(UIDevice.current.systemVersion)"']  # fmt: skip


def test_counted_things_have_a_singular() -> None:
    counted = {key: value for key, value in catalog()["strings"].items() if "%lld" in key}
    assert len(counted) == 3
    for key, value in counted.items():
        forms = value["localizations"]["en"]["variations"]["plural"]
        assert forms["other"]["stringUnit"]["value"] == key
        assert forms["one"]["stringUnit"]["value"] not in ("", key)


def test_nothing_of_a_model_is_written_into_the_app() -> None:
    """Sizes, names and tokens come from the manifest; a number above 999 could be one of a model's."""
    folders = (APP, COREML, swift_tools.IOS / "Sources" / "GemmaChat")
    text = "\n".join(path.read_text("utf-8") for folder in folders for path in sources(folder))
    code = "\n".join(line.split("//")[0] for line in text.splitlines())
    assert [int(number) for number in re.findall(r"(?<![\w.])\d[\d_]*(?![\w.]*\d)", code) if int(number) > 999] == []
    assert not re.search(r"prefill_|<\|turn|embed_tokens|E2B|E4B", code)


def test_type_sizes_follow_the_user() -> None:
    text = "\n".join(path.read_text("utf-8") for path in sources())
    assert not re.search(r"\.system\(size|Font\.custom|fixedSize|minimumScaleFactor", text)
    assert len(re.findall(r"\.font\(\.\w+", text)) > 5


def project() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((swift_tools.IOS / "project.yml").read_text("utf-8"))
    return read


def test_the_project_names_what_is_there() -> None:
    spec = project()
    assert spec["options"]["deploymentTarget"]["iOS"] == "18.0"
    assert spec["settings"]["base"]["SWIFT_VERSION"] == "6.0"
    target = spec["targets"]["GemmaSample"]
    for source in target["sources"]:
        assert (swift_tools.IOS / source["path"]).exists() or source.get("optional"), source
    manifest = (swift_tools.IOS / spec["packages"]["Gemma"]["path"] / "Package.swift").read_text("utf-8")
    products = set(re.findall(r'\.library\(name: "(\w+)"', manifest))
    assert {one["product"] for one in target["dependencies"]} <= products
    imported = {
        name
        for path in sources()
        for name in re.findall(r"^import (\w+)", path.read_text("utf-8"), re.M)
        if name.startswith("Gemma")
    }
    assert imported <= {one["product"] for one in target["dependencies"]}
    assert set(spec["schemes"]) == {"GemmaSample"}


def test_the_bundle_is_a_resource_that_xcode_leaves_alone() -> None:
    (folder,) = [source for source in project()["targets"]["GemmaSample"]["sources"] if source["path"] == "App/bundle"]
    assert (folder["type"], folder["buildPhase"]) == ("folder", "resources")
    assert 'appending(path: "bundle")' in (APP / "ThisPhone.swift").read_text("utf-8")


def test_the_app_asks_for_the_memory_that_a_model_needs() -> None:
    asked = project()["targets"]["GemmaSample"]["entitlements"]["properties"]
    kernel = "com.apple.developer.kernel"
    names = {f"{kernel}.increased-memory-limit", f"{kernel}.extended-virtual-addressing"}
    assert asked == dict.fromkeys(names, True)


def test_the_launch_argument_of_the_scheme_is_the_apps() -> None:
    (argument,) = project()["schemes"]["GemmaSample"]["run"]["commandLineArguments"]
    assert f'"{argument}"' in (APP / "Launch.swift").read_text("utf-8")
    key = re.search(r'forInfoDictionaryKey: "(\w+)"', (APP / "Launch.swift").read_text("utf-8"))
    assert key is not None
    assert key[1] in project()["targets"]["GemmaSample"]["info"]["properties"]


def colour(name: str, dark: bool) -> tuple[float, float, float]:
    """Linear red, green and blue of a colour of the catalog."""
    listed = json.loads((APP / "Assets.xcassets" / f"{name}.colorset" / "Contents.json").read_text("utf-8"))["colors"]
    (found,) = [one["color"]["components"] for one in listed if ("appearances" in one) == dark]
    parts = [int(found[key], 16) / 255 for key in ("red", "green", "blue")]
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return red, green, blue


def contrast(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    bright = sorted(0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in (a, b))
    return (bright[1] + 0.05) / (bright[0] + 0.05)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("ink", "page"),
    [
        *((ink, page) for ink in ("Accent", "Muted", "Passed", "Failed") for page in ("system", "Panel")),
        ("OnAccent", "Accent"),
    ],
)
def test_text_has_contrast_in_both_themes(ink: str, page: str, dark: bool) -> None:
    white, black = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    below = (black if dark else white) if page == "system" else colour(page, dark)
    assert contrast(colour(ink, dark), below) >= 4.5


def test_the_theme_names_every_colour_and_no_other() -> None:
    there = {path.stem for path in (APP / "Assets.xcassets").glob("*.colorset")}
    assert set(re.findall(r'Color\("(\w+)"\)', (APP / "Theme.swift").read_text("utf-8"))) == there


@pytest.mark.parametrize("view", ["CardView", "ChatView", "MessageField", "AboutView", "RootView", "PictureViews"])
def test_views_know_nothing_of_engines(view: str) -> None:
    imports = re.findall(r"^import (\w+)", (APP / f"{view}.swift").read_text("utf-8"), re.M)
    assert not {"GemmaCoreML", "CoreML"} & set(imports)


def test_what_shows_an_icon_alone_has_a_name() -> None:
    text = "\n".join(path.read_text("utf-8") for path in sources())
    buttons = re.findall(r"Button\((.*?)systemImage", text)
    assert buttons
    assert all(button.startswith("Words.") for button in buttons)
    assert text.count(".accessibilityLabel(") >= 3
