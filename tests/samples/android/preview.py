"""Draws the sample app's layouts as web pages, to be looked at where nothing can run the app.

``python -m tests.samples.android.preview FOLDER`` writes one picture for each screen, theme and text size; it needs
Chromium.

The layouts, words, colours and sizes are the app's own files; how they are laid out is a browser's idea of them and not
Android's, and which views are shown is repeated here from ``Drawing.kt``. So this finds words that do not fit, colours
that do not go together and screens that look wrong, and proves nothing about a phone.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element, parse

RES = Path(__file__).parents[3] / "mobile_samples" / "android" / "app" / "src" / "main" / "res"
ANDROID = "{http://schemas.android.com/apk/res/android}"
WIDTH, HEIGHT = 360, 740  # dp of a common phone


@dataclass
class Shown:
    """What one screen shows. A view that the layout hides is shown when ``words`` has its id, if only with none."""

    words: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    colours: Mapping[str, str] = field(default_factory=dict)
    bubbles: tuple[tuple[bool, str, str], ...] = ()
    actions: tuple[str, ...] = ()
    stop: bool = False
    pictured: frozenset[int] = frozenset()  # bubbles with a picture above them


# What stands for a photo: hills under a sun.
SCENE = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 4 3'><rect width='4' height='3' fill='%23bfe3ff'/>"
    "<circle cx='3' cy='.8' r='.4' fill='%23ffd75e'/>"
    "<path d='M0 3V2l1.2-1 1.3 1.2.6-.5L4 2.4V3z' fill='%234f8a4a'/></svg>"
)


class Page:
    """One theme at one text size."""

    def __init__(self, night: bool, scale: float) -> None:
        self.scale = scale
        self.values = self._values("values") | (self._values("values-night") if night else {})
        self.styles = {style.get("name") or "": style for style in parse(RES / "values" / "styles.xml").getroot()}

    @staticmethod
    def _values(folder: str) -> dict[str, str]:
        found = {}
        for path in sorted((RES / folder).glob("*.xml")):
            for item in parse(path).getroot():
                if item.tag != "style":
                    found[f"{item.tag}/{item.get('name')}"] = "".join(item.itertext())
        return found

    def value(self, text: str) -> str:
        """A resource's value, or the text itself; dp and sp become pixels."""
        text = self.values.get(text.removeprefix("@"), text)
        if size := re.fullmatch(r"([\d.]+)(dp|sp)", text):
            return f"{float(size[1]) * (self.scale if size[2] == 'sp' else 1):g}px"
        return text

    def attributes(self, view: Element) -> dict[str, str]:
        """The view's attributes over its style's, over that style's parent's."""
        found: dict[str, str] = {}
        name = (view.get("style") or "").removeprefix("@style/")
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            for item in self.styles.get(".".join(parts[:count]), ()):
                found[(item.get("name") or "").removeprefix("android:")] = item.text or ""
        found |= {key.removeprefix(ANDROID): text for key, text in view.attrib.items() if key.startswith(ANDROID)}
        return found

    def drawable(self, name: str) -> dict[str, str]:
        """CSS of a shape."""
        if name.startswith("@color/"):
            return {"background": self.value(name)}
        if not name.startswith("@drawable/"):
            return {}
        out = {}
        for item in parse(RES / "drawable" / f"{name.removeprefix('@drawable/')}.xml").getroot().iter():
            if item.tag == "corners":
                out["border-radius"] = self.value(item.get(ANDROID + "radius") or "")
            if item.tag == "solid":
                out["background"] = self.value(item.get(ANDROID + "color") or "")
            if item.tag == "stroke":
                out["border"] = "1px solid " + self.value(item.get(ANDROID + "color") or "")
        return out

    def icon(self, name: str) -> str:
        path = parse(RES / "drawable" / f"{name}.xml").getroot().find("path")
        assert path is not None
        colour, data = self.value(path.get(ANDROID + "fillColor") or ""), path.get(ANDROID + "pathData")
        return f'<svg width="24" height="24" viewBox="0 0 24 24"><path fill="{colour}" d="{data}"/></svg>'

    def layout(self, name: str, shown: Shown) -> str:
        return self.view(parse(RES / "layout" / f"{name}.xml").getroot(), shown, "FrameLayout")

    def view(self, view: Element, shown: Shown, parent: str, along: str = "") -> str:
        if view.tag == "include":
            return self.layout((view.get("layout") or "").removeprefix("@layout/"), shown)
        has = self.attributes(view)
        name = has.get("id", "").removeprefix("@+id/")
        if name in shown.hidden or (has.get("visibility") == "gone" and name not in shown.words):
            return ""
        style = self.css(has, parent, along)
        if name in shown.colours:
            style["color"] = self.value("@color/" + shown.colours[name])
        inside = ""
        if view.tag == "ListView":
            style |= {"display": "flex", "flex-direction": "column", "justify-content": "flex-end"}
            inside = "".join(self.bubble(*line, at in shown.pictured) for at, line in enumerate(shown.bubbles))
        elif view.tag == "ImageButton":
            inside = self.icon("ic_stop" if shown.stop and name == "send" else has["src"].removeprefix("@drawable/"))
            style |= {"display": "flex", "align-items": "center", "justify-content": "center"}
        elif view.tag == "ImageView":
            style["background"] = f'url("data:image/svg+xml,{html.escape(SCENE)}") center/cover'.replace('"', "&quot;")
            if wide := has.get("maxWidth"):
                style |= {"width": self.value(wide), "aspect-ratio": "4/3"}
        elif view.tag == "ProgressBar":
            inside = f'<div style="height:4px;width:40%;background:{self.value("@color/accent")}"></div>'
            style["background"] = self.value("@color/panel")
        elif name == "actions":
            inside = "".join(self.action(text, index) for index, text in enumerate(shown.actions))
        elif len(view):
            inside = "".join(self.view(child, shown, view.tag, has.get("orientation", "")) for child in view)
        else:
            words = shown.words.get(name) or self.value(has.get("text") or has.get("hint") or "")
            if view.tag == "CheckBox":
                words = f"\u2611 {words}"
            if "hint" in has:
                style["color"] = self.value("@color/muted")
            inside = html.escape(words).replace("\n", "<br>")
        if view.tag == "LinearLayout":
            style |= {"display": "flex", "flex-direction": "column" if has.get("orientation") == "vertical" else "row"}
            gravity = has.get("gravity", "")
            if gravity == "center_vertical":
                style["justify-content" if has.get("orientation") == "vertical" else "align-items"] = "center"
            if gravity == "bottom":
                style["align-items"] = "flex-end"
        if view.tag in ("ScrollView", "FrameLayout"):
            style |= {"display": "flex", "flex-direction": "column", "overflow": "auto"}
            if has.get("fillViewport"):
                inside = inside.replace('style="', 'style="flex:1 0 auto;', 1)
        if view.tag == "Button":
            style |= {"display": "flex", "align-items": "center", "justify-content": "center", "text-align": "center"}
        look = ";".join(f"{key}:{text}" for key, text in style.items())
        return f'<div data-tag="{view.tag}" style="{look}">{inside}</div>'

    def css(self, has: Mapping[str, str], parent: str, along: str) -> dict[str, str]:
        style = self.drawable(has.get("background", ""))
        for side, text in (("width", has.get("layout_width", "")), ("height", has.get("layout_height", ""))):
            if text == "match_parent":
                style[side] = "100%"
            elif self.value(text).endswith("px") and self.value(text) != "0px":
                style[side] = self.value(text)
                style["flex-shrink"] = "0"
        if parent == "LinearLayout" and style.get("width") == "100%":
            style["width"] = "auto"  # what is left beside its margins
        if weight := has.get("layout_weight"):
            style |= {"flex": f"{weight} 1 0", "min-width": "0", "min-height": "0"}
        sides = {"Start": "left", "End": "right", "Top": "top", "Bottom": "bottom"}
        for kind, key in (("padding", "padding"), ("layout_margin", "margin")):
            if kind in has:
                style[key] = self.value(has[kind])
            for side, edge in sides.items():
                if kind + side in has:
                    style[f"{key}-{edge}"] = self.value(has[kind + side])
        for key, name in (
            ("color", "textColor"),
            ("font-size", "textSize"),
            ("min-height", "minHeight"),
            ("min-width", "minWidth"),
        ):
            if name in has:
                style[key] = self.value(has[name])
        if has.get("textStyle") == "bold":
            style["font-weight"] = "500"
        if has.get("layout_gravity") == "center":
            style |= {"margin": "auto", "text-align": "center"}
        return style

    def bubble(self, mine: bool, text: str, note: str, pictured: bool) -> str:
        words = {"bubble": text} | ({"note": note} if note else {}) | ({"picture": ""} if pictured else {})
        hidden = frozenset({"bubble"} if mine and not text else ())
        drawn = self.layout("bubble", Shown(words, hidden, {"bubble": "on_accent" if mine else "ink"}))
        shape = self.drawable("@drawable/bubble_user" if mine else "@drawable/bubble_model")
        shape |= {"align-self": "flex-end" if mine else "flex-start"}
        extra = ";".join(f"{key}:{value}" for key, value in shape.items())
        if pictured:
            drawn = drawn.replace('data-tag="ImageView" style="', 'data-tag="ImageView" style="align-self:flex-end;', 1)
        return drawn.replace('data-tag="TextView" style="', f'data-tag="TextView" style="{extra};', 1)

    def action(self, text: str, index: int) -> str:
        drawn = self.layout("action", Shown({"": text}))
        if index == 0 and text != self.values["string/cancel"]:
            return drawn
        quiet = self.drawable("@drawable/button_quiet") | {"color": self.value("@color/accent")}
        for key, value in quiet.items():
            drawn = re.sub(rf"(?<![\w-]){key}:[^;\"]*", f"{key}:{value}", drawn) if f"{key}:" in drawn else drawn
        return drawn.replace('style="', f'style="border:{quiet["border"]};', 1)

    def page(self, shown: Shown) -> str:
        page = self.value("@color/page")
        look = f"margin:0;background:{page};font-family:Roboto,'DejaVu Sans',sans-serif;line-height:1.3"
        body = f'<div style="position:fixed;inset:0;padding-top:24px">{self.layout("main", shown)}</div>'
        return (
            f'<!DOCTYPE html><meta charset="utf-8"><style>*{{box-sizing:border-box}}</style><body style="{look}">{body}'
        )


def screens(value: Mapping[str, str]) -> dict[str, Shown]:
    """Every kind of screen with the words of ``strings.xml``."""

    def said(name: str, *texts: str) -> str:
        out = value["string/" + name]
        for index, text in enumerate(texts, 1):
            out = re.sub(rf"%{index}\$[sd]", text, out)
        return out

    chat = frozenset({"card"})
    passed = said("verdict_passed", "CPU", "8")
    fell = (
        said("verdict_passed", "CPU", "8") + "\n" + said("fell_back", "GPU", "it computes wrongly: 5 passed, 3 failed")
    )
    talk = (
        (True, "What is 17 + 25?", ""),
        (False, "42", said("speed", "3", "61.2")),
        (True, "How many metres are there in 12 kilometres? Please explain every step of your answer.", ""),
        (False, "A kilometre has 1000 metres. So 12 kilometres have 12 times 1000, which is 12 000 metres.", ""),
    )
    open_chat = {"chat": "", "bar": "", "new_chat": "", "title": "Gemma 4 E2B", "verdict": passed}
    drafting = open_chat | {"faster": said("faster")}
    failed = {"card_title": "fail"}
    busy = {
        "title": "Gemma 4 E2B",
        "card_title": said("busy_downloading"),
        "card_text": said("of_bytes", "1.04 GB", "2.59 GB"),
    }
    first = {
        "title": "Gemma 4 E2B",
        "card_title": said("busy_preparing"),
        "card_text": said("preparing_text", "830 MB"),
    }
    full_disk = {"card_title": said("trouble_space"), "card_text": said("help_space")}
    full_disk["card_detail"] = "The first start writes 829 MB and needs 863 MB of free storage; 512 MB are free."
    missing = {"card_title": said("missing_title"), "card_text": said("missing_text", "Gemma 4 E2B", "2.59 GB")}
    wrong = {"card_title": said("trouble_self_test"), "card_text": said("help_self_test")}
    wrong["card_detail"] = (
        'CPU: it computes wrongly: 0 passed, 8 failed, 0 not compared. First: "42" is right, "41" was said'
    )
    small = {"card_title": said("trouble_memory"), "card_text": said("help_memory")}
    small["card_detail"] = "The model needs 3.10 GB of memory; of this device's 4.00 GB an app gets about 2.40 GB."
    noon = said("used_tool", "clock", "Sunday 2026-11-29 12:00")
    ended = (
        (True, "What time is it?", ""),
        (False, "It is noon.", noon + "\n" + said("speed", "4", "61.2")),
        (True, "Tell me everything.", ""),
        (False, "Everything began when", said("cut_by_limit") + " " + said("speed", "2048", "58.9")),
        (True, "go on", ""),
        (False, "the universe", said("cut_by_context") + " " + said("speed", "1210", "51.0")),
    )
    full = {"card_title": said("trouble_full"), "card_text": said("help_full")}
    full["card_detail"] = "the conversation has filled its context"
    long = {"card_title": said("trouble_too_long"), "card_text": said("help_too_long")}
    long["card_detail"] = "Input token ids are too long. Exceeding the maximum number of tokens allowed: 5309 >= 4096"
    seeing = open_chat | {"add_picture": ""}
    seen = (
        (True, "Which flower is this, and where does it grow?", ""),
        (False, "An alpine rose. It grows above the trees, on stony meadows.", said("speed", "17", "58.4")),
        (True, "", ""),
        (False, "Hills under a low sun, early in the day.", said("speed", "11", "58.9")),
    )
    chosen = {"attached": "", "attached_text": said("your_picture", "4032", "3024")}
    refused = {"attached": "", "attached_text": said("picture_unreadable")}
    fail = {"verdict": "pass", "attached_text": "fail"}
    large = {"attached": "", "attached_text": said("picture_memory")}
    reading = {"attached": "", "attached_text": said("reading_picture")}
    no_image = chat | {"attached_image"}
    return {
        "picture": Shown(seeing, chat, {"verdict": "pass"}, seen, pictured=frozenset({0, 2})),
        "picture_chosen": Shown(seeing | chosen, chat, {"verdict": "pass"}, seen[:2], pictured=frozenset({0})),
        "picture_reading": Shown(seeing | reading, no_image | {"detach"}, {"verdict": "pass"}, seen[:2]),
        "picture_unreadable": Shown(seeing | refused, no_image, fail, seen[:2], pictured=frozenset({0})),
        "picture_memory": Shown(seeing | large, no_image, fail, seen[:2], pictured=frozenset({0})),
        "tools": Shown(open_chat, chat, {"verdict": "pass"}, ended),
        "full": Shown(full, frozenset({"progress"}), failed, actions=(said("new_chat"), said("back"))),
        "too_long": Shown(long, frozenset({"progress"}), failed, actions=(said("back"),)),
        "missing": Shown(missing, frozenset({"progress"}), actions=(said("download"), said("choose_file"))),
        "busy": Shown(busy, actions=(said("cancel"),)),
        "drafter": Shown(drafting, chat, {"verdict": "pass"}, talk[:2]),
        "preparing": Shown(first),
        "no_space": Shown(full_disk, frozenset({"progress"}), failed, actions=(said("retry"),)),
        "chat": Shown(open_chat, chat, {"verdict": "pass"}, talk, stop=True),
        "fallback": Shown(open_chat | {"verdict": fell}, chat, {"verdict": "pass"}, talk[:2]),
        "empty": Shown(
            {"bar": "", "title": "demo", "verdict": passed, "empty": said("empty_chat")}, chat, {"verdict": "pass"}
        ),
        "wrong": Shown(wrong, frozenset({"progress"}), failed, actions=(said("retry"),)),
        "memory": Shown(small, frozenset({"progress"}), failed, actions=(said("retry"), said("go_on"))),
    }


def main(folder: Path) -> None:
    """Writes ``<screen>-<theme>-<text size>.png`` and the pages they were taken of."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("error: preview needs Chromium, which is not on PATH")
    folder.mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        for scale in (1.0, 2.0):
            page = Page(theme == "dark", scale)
            for name, shown in screens(page.values).items():
                stem = f"{name}-{theme}-{scale:g}x"
                (folder / f"{stem}.html").write_text(page.page(shown), "utf-8")
                command = [
                    browser,
                    "--headless",
                    "--no-sandbox",
                    "--hide-scrollbars",
                    f"--window-size={WIDTH},{HEIGHT}",
                ]
                command += [f"--screenshot={folder / (stem + '.png')}", (folder / f"{stem}.html").as_uri()]
                subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
