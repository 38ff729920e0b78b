"""A desktop bundle: it runs from its own folder, is talked to and judged, and damage is told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from convert import demo
from convert.bundle.platforms.desktop.gemma import FullError, Gemma
from convert.chat.engine import Opened
from convert.chat.loop import LoopEngine
from convert.chat.native_log import NativeLog
from convert.chat.settings import Settings
from convert.chat.talk import Ending, Talk
from convert.errors import ArtifactError
from runtime_tests.onnx.case import OnnxCase, open_pair
from runtime_tests.readers.checkpoint import open_checkpoint
from tests.support.commands import convert

QUESTION = "What is 12 + 72?"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    ran = convert("bundle", "desktop", "demo", "--out", out, "--questions", "8", "--context", "256")
    assert ran.code == 0, ran.err
    assert "sample: python gemma.py" in ran.out
    return out / "desktop" / "demo"


def test_it_holds_the_models_all_that_a_runtime_reads_and_the_sample(bundle: Path) -> None:
    manifest, parity = (json.loads((bundle / name).read_text("utf-8")) for name in ("manifest.json", "parity.json"))
    assert (manifest["platform"], manifest["model"], manifest["apk"]) == ("desktop", "model.onnx", None)
    assert manifest["files"].keys() == {
        *("model.onnx", "model.onnx.data", "embedding.onnx", "embedding.onnx.data", "text.onnx"),
        *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"),
        *("vision.onnx", "vision.onnx.data", "image_processor.json"),
        *("genai_config.json", "gemma.py", "pictures.py", "README.md"),
        *("LICENSE", "NOTICE", "golden.json", "parity.html", "parity.json"),
    }
    assert {rung["name"]: rung["status"] for rung in parity["rungs"]} == dict.fromkeys(
        ("0", "1", "2a", "2b", "3", "4"), "pass"
    )
    assert parity["publication"]["allowed"]
    found = {check["name"]: check["found"] for rung in parity["rungs"] for check in rung["checks"]}
    assert found["driven by onnxruntime-genai"] == 1


def test_its_two_lines_of_python_answer_as_the_golden_says(bundle: Path, tmp_path: Path) -> None:
    readme = (bundle / "README.md").read_text("utf-8")
    lines = [line.strip() for line in readme.splitlines() if line.startswith("    ") and "Gemma" in line]
    assert len(lines) == 2
    copy = Path(shutil.copytree(bundle, tmp_path / "elsewhere"))
    ran = subprocess.run(
        [sys.executable, "-I", "-c", "import sys; sys.path.insert(0, '.')\n" + "\n".join(lines)],
        cwd=copy, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.strip() == Gemma(bundle).ask(QUESTION) == "84"


def test_its_loop_gives_the_tokens_of_the_golden_and_of_the_judge(bundle: Path) -> None:
    golden = json.loads((bundle / "golden.json").read_text("utf-8"))
    gemma, case = Gemma(bundle), OnnxCase(open_pair(bundle / "model.onnx"), open_checkpoint(demo.folder()))
    for one in golden["goldens"][:4]:
        expected = one["continuation"][: one["certain"]]
        own = list(gemma.tokens(one["ids"], len(one["continuation"])))
        assert own[: len(expected)] == [token for token in expected if token not in case.stops]
    assert sum(one["certain"] for one in golden["goldens"][:4]) > 10
    chat = [{"role": "user", "content": QUESTION}]
    assert gemma.prompt(chat) == [case.start, *case.tokenize(case.render(chat))]


def test_a_prompt_that_goes_on_is_not_read_again_and_says_the_same(bundle: Path) -> None:
    gemma, fresh = Gemma(bundle), Gemma(bundle)
    first = [{"role": "user", "content": QUESTION}]
    answer = "".join(gemma.answer(first))
    more = [*first, {"role": "assistant", "content": answer}, {"role": "user", "content": "What is 10 + 48?"}]
    assert "".join(gemma.answer(more)) == "".join(fresh.answer(more))
    gemma.forget()
    assert gemma.used == 0
    assert "".join(gemma.answer(first)) == answer


def test_tokens_are_drawn_by_a_seed_and_a_full_context_is_told(bundle: Path) -> None:
    gemma = Gemma(bundle)
    prompt = gemma.prompt([{"role": "user", "content": QUESTION}])
    one, two = ("".join(gemma.text(prompt, sample=True, seed=7)) for _ in range(2))
    assert one == two
    with pytest.raises(FullError, match="the prompt has 256 tokens, and 256 is the context"):
        list(gemma.tokens([2, *[300] * 255]))
    assert len(list(gemma.tokens([2, *[300] * 253]))) <= 2


def test_chat_answers_with_the_same_loop(bundle: Path) -> None:
    ran = convert("chat", bundle, "--ask", QUESTION)
    assert (ran.code, ran.out.strip()) == (0, "84"), ran.err
    ran = convert("chat", bundle / "model.onnx", "--ask", QUESTION)
    assert (ran.code, ran.out.strip()) == (0, "84"), ran.err


def test_chat_gives_it_no_tools_and_takes_no_damaged_file(bundle: Path, tmp_path: Path) -> None:
    ran = convert("chat", bundle, "--ask", QUESTION, "--tools", "builtin")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "models for ONNX Runtime are given no tools" in ran.err
    copy = Path(shutil.copytree(bundle, tmp_path / "demo"))
    with (copy / "embedding.onnx.data").open("r+b") as file:
        file.write(b"\xff")
    ran = convert("chat", copy, "--ask", QUESTION)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "embedding.onnx.data has SHA-256" in ran.err
    ran = convert("verify", bundle, "--rungs", "0")
    assert ran.code == 0, ran.err
    ran = convert("verify", copy, "--rungs", "0")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "embedding.onnx.data was changed after packaging" in ran.err
    (copy / "genai_config.json").unlink()
    ran = convert("chat", copy / "model.onnx", "--ask", QUESTION)
    assert "genai_config.json is not beside it" in ran.err


def test_a_message_that_the_template_refuses_is_one_line_and_the_next_is_answered(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = LoopEngine(bundle / "model.onnx", 1)
    talk = Talk(Opened(loop, loop.gemma.context, NativeLog()), Settings(sample=False, limit=20, threads=1))
    render = loop.gemma.prompt

    def refuse(messages: list[dict[str, str]]) -> list[int]:
        if messages[-1]["content"] == "no":
            raise ValueError("roles must alternate")
        return render(messages)

    monkeypatch.setattr(loop.gemma, "prompt", refuse)
    with pytest.raises(ArtifactError, match=r"the engine failed \(roles must alternate\)"):
        list(talk.say("no"))
    assert "".join(talk.say(QUESTION)) == "84"
    assert talk.ending() is Ending.DONE


def test_inspect_and_list_show_it(bundle: Path) -> None:
    found = json.loads(convert("inspect", bundle, "--json").out)
    assert {section["kind"] for section in found["sections"]} >= {"model.onnx", "model.onnx.data"}
    assert found["cache"]["context"] == 256
    assert found["operators"]["model"]["GroupQueryAttention"] == 10
    listed = json.loads(convert("list", "--out", bundle.parents[1], "--json").out)
    assert [(one["platform"], one["state"]) for one in listed["bundles"]] == [("desktop", "ok")]
