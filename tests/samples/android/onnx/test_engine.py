"""The Android sample's engine over ONNX Runtime, in this machine's Java and with the runtime of this machine's Python:
a bundle of the demo is fed from its files, and says what the reference and Python's loop say."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convert import demo, pipeline
from convert.bundle import manifest, papers
from convert.bundle.platforms.android.project import PROJECT
from convert.bundle.platforms.desktop.gemma import Gemma
from convert.plan import Request
from convert.progress import Silent
from tests.support import quick_build
from tests.support.android import kotlin_tools, onnx_pipe
from tests.support.android.kotlin_tools import Outcome
from tests.support.commands import REPOSITORY

FOLDER, SUITE = "engine-ort/src/test/kotlin", "OrtSuite"
CONTEXT = 320
QUESTIONS = (
    ("What is 12 + 72?", "What is 10 + 48?", "Spell \"able\" backwards."),
    ("Belgium in two letters?", "And in three letters?"),
    ("Grüße <b>ü</b> 漢字 😀", "Convert 9 meters to centimeters."),
)  # fmt: skip

# A judge that takes any models; the goldens come from the real one afterwards.
DIGEST = """
from convert.targets.onnx import TARGET
digest = TARGET.digest(model)
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the demo, with the judge's own goldens."""
    out = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "judge", quick_build.taking(DIGEST))
        request = Request("android", "demo", out, CONTEXT, runtime="onnx", modalities=())
        folder = pipeline.build(request, Silent()).bundle
    verify = [sys.executable, "-m", "runtime_tests", "verify", str(folder), "--checkpoint", str(demo.folder())]
    words = [*verify, "--rungs", "0", "--golden", str(out / "golden.json")]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (out / "golden.json").replace(folder / "golden.json")
    papers.add(folder, [folder / "golden.json"])
    return folder


def conversations(bundle: Path) -> list[list[dict[str, Any]]]:
    """What ``gemma.py`` reads and says, turn after turn."""
    out = []
    for questions in QUESTIONS:
        gemma, messages, turns = Gemma(bundle), list[dict[str, Any]](), list[dict[str, Any]]()
        for question in questions:
            messages.append({"role": "user", "content": question})
            ids = gemma.prompt(messages)
            tokens = list(gemma.tokens(ids))
            answer = "".join(gemma.answer(messages))
            turns.append({"question": question, "ids": ids, "tokens": len(tokens), "answer": answer})
            messages.append({"role": "assistant", "content": answer})
        out.append(turns)
    return out


Change = Callable[[dict[str, Any]], object]


def stop(manifest: dict[str, Any], id: int) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in manifest["feeding"]["tokens"]["stops"] if one["id"] == id)
    return found


def tensor(manifest: dict[str, Any], section: str, kind: str, name: str) -> dict[str, Any]:
    signature = next(one for one in manifest["signatures"] if one["section"] == section)
    found: dict[str, Any] = next(one for one in signature[kind] if one["name"] == name)
    return found


def owner(manifest: dict[str, Any], width: int) -> None:
    """Another head, everywhere that the manifest says it."""
    for kind, name in (("inputs", "past_key_values.4.key"), ("outputs", "present.4.key")):
        tensor(manifest, "model", kind, name)["shape"][3] = width
    manifest["kv_cache"]["bytes"] += (width - 64) * 4 * CONTEXT


def other_context(manifest: dict[str, Any]) -> None:
    manifest["kv_cache"].update(context=2 * CONTEXT, bytes=2 * manifest["kv_cache"]["bytes"])


FAULTS: dict[str, tuple[Change, str]] = {
    "nothing": (lambda m: None, "PASSED: "),
    "context": (other_context, "was made for 320 tokens, manifest.kv_cache.context is 640"),
    "bytes of the cache": (lambda m: m["kv_cache"].update(bytes=1), "manifest.kv_cache says 1 bytes"),
    "owners": (lambda m: m["kv_cache"]["owners"].pop(), "manifest.kv_cache says"),
    "size of a head": (lambda m: owner(m, 32), "model.onnx has past_key_values.4.key as FLOAT [1, 1, -1, 64]"),
    "width of rows": (
        lambda m: [tensor(m, *at)["shape"].__setitem__(2, 320) for at in (
            ("embedding", "outputs", "inputs_embeds"), ("model", "inputs", "inputs_embeds"))],
        "has inputs_embeds as FLOAT [1, -1, 160]; the manifest says float32 [1, -1, 320]",
    ),
    "type of ids": (lambda m: tensor(m, "embedding", "inputs", "input_ids").update(dtype="int32"), "other inputs than"),
    "name of an output": (lambda m: tensor(m, "model", "outputs", "logits").update(name="scores"), "the outputs"),
    "no embedding": (lambda m: m["signatures"].pop(1), "manifest.signatures has 0 entries besides model"),
    "a stop of another number": (lambda m: stop(m, 106).update(id=105), "token 105 is <|turn>"),
    "a stop too few": (lambda m: m["feeding"]["tokens"]["stops"].remove(stop(m, 106)), "lacks <turn|>, the eot_token"),
    "a stop too many": (
        lambda m: m["feeding"]["tokens"]["stops"].append({"id": 396, "text": "▁A", "sources": []}), "token 396 is",
    ),
    "start": (lambda m: m["feeding"]["tokens"]["start"].update(id=1, text="<eos>"), "begins with <eos>, not <bos>"),
    "suppressed": (lambda m: m["feeding"]["tokens"].update(suppressed=[404, 106]), "it computes wrongly"),
    "another runtime": (lambda m: m["runtime"].update(name="LiteRT-LM"), "manifest.parity judges another file"),
    "an unknown runtime": (lambda m: m["runtime"].update(name="Core ML"), 'manifest.runtime.name is "Core ML"'),
    "a lost tokenizer": (lambda m: m["files"].pop("tokenizer.json"), "manifest.files lacks tokenizer.json"),
    "digest of a part": (
        lambda m: m["files"]["embedding.onnx.data"].update(sha256="0" * 63 + "1"), "parity judges another file",
    ),
}  # fmt: skip


def damaged_tokenizer(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    edit(content)
    (folder / "tokenizer.json").write_text(json.dumps(content), "utf-8")


def exchanged(content: dict[str, Any]) -> None:
    """Two pieces of two digits' length change places: all is in order, and other tokens come."""
    vocab = content["model"]["vocab"]
    vocab["1"], vocab["a"] = vocab["a"], vocab["1"]


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "pieces exchanged": (lambda f: damaged_tokenizer(f, exchanged), "it computes wrongly"),
    "merges lost": (lambda f: damaged_tokenizer(f, lambda c: c["model"].update(merges=[])), "it computes wrongly"),
    "a tokenizer of another kind": (
        lambda f: damaged_tokenizer(f, lambda c: c["model"].update(type="Unigram")), 'model.type is "Unigram"',
    ),
    "no template": (lambda f: (f / "chat_template.jinja").unlink(), "chat_template.jinja cannot be read"),
    "a template that asks for more": (
        lambda f: replaced(f / "chat_template.jinja", "{% include 'x' %}"), "the tag include is not known",
    ),
    "another template": (lambda f: replaced(f / "chat_template.jinja", "{{ messages[0].content }}"), "wrongly"),
    "a graph that is none": (lambda f: replaced(f / "model.onnx", "nothing"), "ONNX Runtime: "),
    "no weights": (lambda f: (f / "embedding.onnx.data").unlink(), "ONNX Runtime: "),
}  # fmt: skip


def replaced(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")


def copied(bundle: Path, folder: Path) -> Path:
    return Path(shutil.copytree(bundle, folder))


def changed(bundle: Path, folder: Path, change: Change) -> None:
    """The same bundle with another manifest, which says its own digest again."""
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    change(manifest)
    manifest["self_sha256"] = "0" * 64
    text = json.dumps(manifest, indent=2) + "\n"
    sha = hashlib.sha256(text.encode()).hexdigest()
    (copied(bundle, folder) / "manifest.json").write_text(text.replace("0" * 64, sha, 1), "utf-8")


@pytest.fixture(scope="module")
def outcome(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    def run() -> Outcome:
        work = tmp_path_factory.mktemp("ort")
        (work / "expected.json").write_text(json.dumps(conversations(bundle)), "utf-8")
        for name, (change, _) in FAULTS.items():
            changed(bundle, work / "faults" / name, change)
        for name, (damage, _) in DAMAGE.items():
            damage(copied(bundle, work / "faults" / name))
        pipe = f"-Donnx.pipe={sys.executable}\n{onnx_pipe.__file__}"
        files = (bundle, work / "expected.json", work / "faults")
        return kotlin_tools.suite(kotlin_tools.compiled(), SUITE, *files, flags=(pipe,))

    return kotlin_tools.once(tmp_path_factory, SUITE, run)


def test_the_bundle_brings_the_project_with_the_bundle_in_it_and_says_that_there_is_no_apk(bundle: Path) -> None:
    outer, inside = manifest.read(bundle), bundle / "app" / PROJECT.assets
    assert outer.apk is not None
    assert outer.apk.status == "not built: Gradle fetches its engine; build app/"
    assert (bundle / "app/engine-ort/src/main/kotlin/dev/gemmabridge/ort/OrtEngine.kt").is_file()
    for name, file in manifest.read(inside).files.items():
        assert hashlib.sha256((inside / name).read_bytes()).hexdigest() == file.sha256
    assert not (bundle / "app.apk").exists()


@pytest.mark.parametrize("case", kotlin_tools.cases(FOLDER, SUITE))
def test_engine(outcome: Outcome, case: str) -> None:
    assert kotlin_tools.failure(outcome, case) == ""


@pytest.mark.parametrize("fault", [*FAULTS, *DAMAGE])
def test_a_bundle_with_a_fault_is_refused_or_found_out(outcome: Outcome, fault: str) -> None:
    _, words = (FAULTS | DAMAGE)[fault]  # type: ignore[operator]
    said = outcome.figures.get(fault, f"it did not run: {outcome.ended}")
    assert words in said
    assert said.startswith("PASSED") == (fault == "nothing")
