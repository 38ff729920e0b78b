"""The sample app's resources: readable in both themes, named, large enough to touch, complete; versions pinned."""

from __future__ import annotations

import html
import itertools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.samples.android import preview

SAMPLE = Path(__file__).parents[3] / "mobile_samples" / "android"
MAIN = SAMPLE / "app" / "src" / "main"
RES = MAIN / "res"
ANDROID = "{http://schemas.android.com/apk/res/android}"
TEXT, OUTLINE = 4.5, 3.0  # WCAG 2.2 AA: text, boundaries of controls
PAIRS = [  # ink, ground, least contrast
    ("ink", "page", TEXT),
    ("ink", "panel", TEXT),
    ("muted", "page", TEXT),
    ("muted", "panel", TEXT),
    ("pass", "page", TEXT),
    ("fail", "page", TEXT),
    ("accent", "page", TEXT),
    ("on_accent", "accent", TEXT),
    ("line", "page", OUTLINE),
    ("icon_ink", "icon_page", OUTLINE),
]


def values(folder: str) -> dict[str, str]:
    found = {}
    for path in sorted((RES / folder).glob("*.xml")):
        for item in ElementTree.parse(path).getroot():
            if item.tag in ("color", "dimen", "bool", "string"):
                found[f"{item.tag}/{item.get('name')}"] = "".join(item.itertext())
    return found


def luminance(colour: str) -> float:
    assert re.fullmatch("#[0-9A-F]{6}", colour), colour
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def layouts() -> Iterator[tuple[str, ElementTree.Element]]:
    for path in sorted((RES / "layout").glob("*.xml")):
        for view in ElementTree.parse(path).getroot().iter():
            yield path.name, view


@pytest.mark.parametrize("theme", ["values", "values-night"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "-".join(pair[:2]))
def test_colours_are_readable(theme: str, pair: tuple[str, str, float]) -> None:
    found = values("values") | values(theme)
    ink, ground, least = pair
    assert contrast(found[f"color/{ink}"], found[f"color/{ground}"]) >= least


def test_the_dark_theme_changes_every_colour_but_the_icon() -> None:
    light, dark = values("values"), values("values-night")
    assert set(light) - set(dark) == {name for name in light if name.startswith(("dimen/", "string/", "color/icon_"))}
    assert all(light[name] != dark[name] for name in dark)


def test_no_layout_has_a_colour_a_size_or_words_of_its_own() -> None:
    for file, view in layouts():
        for name, value in view.attrib.items():
            assert not re.fullmatch("#[0-9a-fA-F]{3,8}", value), f"{file}: {name} {value}"
            if name.removeprefix(ANDROID) in ("text", "hint", "contentDescription"):
                assert value.startswith("@string/"), f"{file}: {name} {value}"
            if name.removeprefix(ANDROID) == "textSize":
                assert value.startswith("@dimen/"), f"{file}: {name} {value}"


def test_text_grows_with_the_systems_setting() -> None:
    sizes = {name: value for name, value in values("values").items() if name.startswith("dimen/") and "text" in name}
    assert len(sizes) == 3
    assert all(value.endswith("sp") for value in sizes.values())
    for file, view in layouts():  # nothing with words has a height that larger words would not fit
        if view.tag in ("TextView", "Button", "CheckBox", "EditText"):
            assert view.get(ANDROID + "layout_height") == "wrap_content", file


def test_everything_to_touch_is_48_dp_and_has_a_name() -> None:
    styles = ElementTree.parse(RES / "values" / "styles.xml").getroot()
    button = {item.get("name"): item.text for style in styles if style.get("name") == "Button" for item in style}
    assert values("values")["dimen/touch"] == "48dp"
    assert button["android:minHeight"] == button["android:minWidth"] == "@dimen/touch"
    to_touch = ("Button", "CheckBox", "ImageButton", "EditText")
    touched = [(file, view) for file, view in layouts() if view.tag in to_touch]
    assert len(touched) >= 5
    for file, view in touched:
        assert any(view.get(ANDROID + name) for name in ("text", "contentDescription", "hint")), file
        sized = view.get(ANDROID + "minHeight") or view.get(ANDROID + "layout_height")
        assert sized == "@dimen/touch" or (view.get("style") or "").startswith("@style/Button"), file


def test_every_picture_is_described_or_described_beside() -> None:
    code = "\n".join(path.read_text("utf-8") for path in sorted((MAIN / "kotlin").rglob("*.kt")))
    images = [view for _, view in layouts() if view.tag == "ImageView"]
    assert len(images) == 2
    for view in images:
        name = (view.get(ANDROID + "id") or "").removeprefix("@+id/")
        silent = view.get(ANDROID + "importantForAccessibility") == "no"
        assert silent != (f"{name}.contentDescription = " in code), name


def test_every_resource_named_in_the_code_exists_and_every_string_is_used() -> None:
    code = "\n".join(path.read_text("utf-8") for path in sorted((SAMPLE / "app" / "src").rglob("*.kt")))
    xml = "\n".join(path.read_text("utf-8") for path in sorted(MAIN.rglob("*.xml")))
    strings = {name.removeprefix("string/") for name in values("values") if name.startswith("string/")}
    used = set(re.findall(r"R\.string\.(\w+)", code)) | set(re.findall(r"@string/(\w+)", xml))
    assert used == strings
    ids = set(re.findall(r"@\+id/(\w+)", xml))
    assert set(re.findall(r"R\.id\.(\w+)", code)) <= ids
    for kind in ("layout", "drawable"):
        files = {path.stem for path in (RES / kind).glob("*.xml")}
        named = set(re.findall(rf"R\.{kind}\.(\w+)", code)) | set(re.findall(rf"@{kind}/(\w+)", xml))
        assert named == files, kind


def test_placeholders_of_strings_count_up_from_one() -> None:
    for name, text in values("values").items():
        places = [int(place) for place in re.findall(r"%(\d)\$", text)]
        assert places == list(range(1, len(places) + 1)), name
        assert text.count("%") == len(places), name


def test_the_manifest_says_what_the_engine_needs() -> None:
    root = ElementTree.parse(MAIN / "AndroidManifest.xml").getroot()
    permissions = [item.get(ANDROID + "name") for item in root.findall("uses-permission")]
    assert permissions == ["android.permission.INTERNET"]
    application = root.find("application")
    assert application is not None
    libraries = {
        item.get(ANDROID + "name"): item.get(ANDROID + "required") for item in application.iter("uses-native-library")
    }
    assert libraries == {"libOpenCL.so": "false", "libvndksupport.so": "false"}
    assert application.get(ANDROID + "usesCleartextTraffic") == "false"
    assert application.get(ANDROID + "allowBackup") == "false"
    (shots,) = application.findall("provider")  # for a camera's photo; access to it is given with the question for it
    assert (shots.get(ANDROID + "exported"), shots.get(ANDROID + "grantUriPermissions")) == ("false", "true")
    code = "\n".join(path.read_text("utf-8") for path in sorted((MAIN / "kotlin").rglob("*.kt")))
    assert f'"content://{shots.get(ANDROID + "authorities")}/' in code
    exported = [item.get(ANDROID + "name") for item in application if item.get(ANDROID + "exported") == "true"]
    assert exported == [".MainActivity"]


def test_every_version_is_pinned_in_the_catalogue_and_used() -> None:
    catalogue = tomllib.loads((SAMPLE / "gradle" / "libs.versions.toml").read_text("utf-8"))
    versions = catalogue["versions"]
    assert all(re.fullmatch(r"\d+(\.\d+)*", version) for version in versions.values()), versions
    entries = list(itertools.chain(catalogue["libraries"].items(), catalogue["plugins"].items()))
    referred = {entry["version"]["ref"] for _, entry in entries}
    assert referred | {"minSdk", "targetSdk"} == set(versions)
    scripts = "\n".join(path.read_text("utf-8") for path in sorted(SAMPLE.rglob("*.gradle.kts")))
    named = set(re.findall(r"libs\.((?!versions)[a-z][\w.]*\w)", scripts))
    plugins = {"plugins." + name.replace("-", ".") for name in catalogue["plugins"]}
    assert named == plugins | {name.replace("-", ".") for name in catalogue["libraries"]}
    assert not re.findall(r"[\"'][\w.-]+:[\w.-]+:[\w.+-]+[\"']", scripts)  # no coordinates beside the catalogue
    modules = re.findall(r'":([\w-]+)"', (SAMPLE / "settings.gradle.kts").read_text("utf-8"))
    assert all((SAMPLE / module / "build.gradle.kts").is_file() for module in modules)


def test_gradle_itself_is_held_to_a_digest() -> None:
    lines = (SAMPLE / "gradle" / "wrapper" / "gradle-wrapper.properties").read_text("utf-8").splitlines()
    found = dict(line.split("=", 1) for line in lines)
    assert re.fullmatch("[0-9a-f]{64}", found["distributionSha256Sum"])
    assert re.search(r"gradle-\d+\.\d+\.\d+-bin\.zip$", found["distributionUrl"])


@pytest.mark.parametrize("night", [False, True])
def test_the_preview_shows_every_word_of_every_screen(night: bool) -> None:
    page = preview.Page(night, 1.0)
    for name, shown in preview.screens(page.values).items():
        text = html.unescape(page.page(shown)).replace("<br>", "\n")
        words = [*shown.words.values(), *shown.actions, *(said for bubble in shown.bubbles for said in bubble[1:])]
        assert all(word in text for word in words), name
        assert not re.search(r"@(string|color|dimen)/|%\d\$", text), name
        assert page.value("@color/page") in text
