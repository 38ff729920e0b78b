"""The judge feeds a bundle by its manifest.json alone, and holds that to what transformers says."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert import child, demo, feeding
from convert.bundle.manifest import read
from convert.checkpoint import open_checkpoint
from runtime_tests.coreml.case import CoremlCase
from runtime_tests.coreml.compare.feeding import compare_feeding
from runtime_tests.coreml.feeding import rotary_rows
from runtime_tests.errors import CannotRunError, InputError
from runtime_tests.kinds import open_case
from runtime_tests.ladder import climb
from runtime_tests.readers.bits import twos_complement
from runtime_tests.readers.feeding import Rotary, feeding_of, read_feeding
from runtime_tests.results import Check
from runtime_tests.rungs.feeding import compare_tokens
from tests.bundle.test_ios import build
from tests.support.commands import REPOSITORY

SLIDING, FULL = "sliding_attention", "full_attention"
Fields = dict[str, Any]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        yield build(patch, tmp_path_factory.mktemp("feeding")).bundle


@pytest.fixture(scope="module")
def said(bundle: Path) -> Fields:
    found: Fields = json.loads((bundle / "manifest.json").read_text("utf-8"))["feeding"]
    return found


@pytest.fixture(scope="module")
def case(bundle: Path) -> CoremlCase:
    found = open_case(bundle, demo.folder())
    assert isinstance(found, CoremlCase)
    return found


def changed(said: Fields, path: str, value: object) -> Fields:
    """A copy with another value at a path: ``calls.mask.hidden``, ``tokens.stops.0.id``."""
    *way, last = path.split(".")
    made = place = copy.deepcopy(said)
    for key in way:
        place = place[int(key)] if isinstance(place, list) else place[key]  # type: ignore[assignment]
    before = place[int(last)] if isinstance(place, list) else place[last]
    assert before != value, path
    place[int(last) if isinstance(place, list) else last] = value  # type: ignore[index]
    return made


def with_feeding(bundle: Path, into: Path, part: Fields) -> Path:
    """A copy of a bundle whose manifest says something else of feeding, and has the right SHA-256 of itself."""
    folder = shutil.copytree(bundle, into / bundle.name)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8")) | {"feeding": part, "self_sha256": "0" * 64}
    text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    own = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.json").write_text(text.replace(f'"self_sha256": "{"0" * 64}"', f'"self_sha256": "{own}"'))
    return folder


def failed(checks: list[Check]) -> str:
    return "\n".join(f"{check.name}: {check.note}" for check in checks if not check.passed)


def test_what_a_bundle_says_is_what_transformers_says(case: CoremlCase) -> None:
    checks = compare_feeding(case)
    assert failed(checks) == ""
    assert len([check for check in checks if check.limit is not None]) == 9
    assert compare_feeding(CoremlCase(case.package, case.folder)) == []  # a bare package says nothing


ROTARY = "calls.layer_types.{}.rotary.{}"
WRONG = [
    (
        ROTARY.format(SLIDING, "theta"),
        10_001.0,
        "rotary embedding and window: sliding_attention: theta 10001.0, config",
    ),
    (ROTARY.format(SLIDING, "theta"), 10_001.0, "rotary rows, largest difference"),
    (ROTARY.format(FULL, "theta"), 1e4, "full_attention: theta 10000.0, config.json says 1000000.0"),
    (ROTARY.format(FULL, "kind"), "default", "full_attention: kind default"),
    (ROTARY.format(FULL, "partial_factor"), 0.5, "full_attention: partial_factor 0.5"),
    (ROTARY.format(FULL, "turning"), 9, "full_attention: turning 9, config.json says 8"),
    (ROTARY.format(FULL, "head_dim"), 32, "full_attention: head_dim 32, config.json says 64"),
    (f"calls.layer_types.{SLIDING}.window", 65, "sliding_attention: window 65, config.json says 64"),
    (f"calls.layer_types.{SLIDING}.window", None, "sliding_attention: window None"),
    (f"calls.layer_types.{FULL}.window", 64, "full_attention: window 64, config.json says None"),
    (f"calls.layer_types.{SLIDING}.ring.rows", 32, "sliding_attention: ring 32, the package has 64"),
    (f"calls.layer_types.{SLIDING}.ring", None, "sliding_attention: ring None, the package has 64"),
    ("calls.mask.hidden", -100.0, "mask: hidden -100"),
    ("calls.mask.hidden", -1e9, "mask: hidden -1e+09, expected at most -10000 and within float16"),
    ("calls.mask.visible", 1.0, "mask: visible 1"),
    ("calls.chunks.context", 64, "chunks: context 64, not 96"),
    ("calls.chunks.lengths.0.tokens", 32, "chunks: lengths [(32, 'prefill_16')]"),
    ("calls.chunks.lengths", [], "chunks: lengths []"),
    ("calls.inputs.0.table", "embed_tokens_per_layer", "inputs and outputs: input embeddings"),
    ("calls.inputs.3.source", "position", "inputs and outputs: input ring_rows"),
    ("calls.inputs.4.layer_type", FULL, "inputs and outputs: input cos_sliding"),
    ("calls.inputs.4.source", "sines", "inputs and outputs: input cos_sliding"),
    ("calls.outputs.0.meaning", "nothing", "inputs and outputs: outputs"),
    ("calls.parts.0.model", "Model_2.mlpackage", "parts and states: parts ['Model_2.mlpackage']"),
    ("calls.parts.0.functions.decode.gives", ["logits"], "parts and states: Model.mlpackage: functions"),
    ("calls.parts.0.states.0.layers", [1, 0, 2, 3], "parts and states: Model.mlpackage: states"),
    ("calls.tables.embed_tokens.bits", 4, "row tables: embed_tokens: bits 4, embed_tokens.rows says 2"),
    ("calls.tables.embed_tokens.multiplier", 12.0, "row tables: embed_tokens: multiplier 12.0"),
    ("calls.tables.embed_tokens.scales_offset", 4096, "row tables: embed_tokens: scales_offset 4096"),
    ("calls.tables.embed_tokens.file", "embed_tokens_per_layer.rows", "is the table 'embed_tokens_per_layer'"),
    ("calls.tables.embed_tokens.file", "gone.rows", "row tables: embed_tokens: gone.rows: cannot be read"),
    ("calls.tables.embed_tokens_per_layer.shape", [32, 10], "row tables: embed_tokens_per_layer: shape [32, 10]"),
    ("calls", None, "feeding: calls: null"),
    ("tokens.start.id", 3, "tokens: start: 3 is written '<bos>', the tokenizer has '<unk>'; start: 3, expected 2"),
    ("tokens.pad", {"id": 3, "text": "<unk>"}, "tokens: pad: 3, expected 0"),
    ("tokens.stops.2", {"id": 105, "text": "<|turn>", "sources": []}, "stops: [1, 50, 105], expected [1, 50, 106]"),
    ("tokens.suppressed", [7], "tokens: suppressed: [7]"),
    ("tokens.roles.eot_token", {"id": 105, "text": "<|turn>"}, "eot_token: '<|turn>', expected '<turn|>'"),
    ("tokens.thought", None, "tokens: thought: expected '<|channel>' to '<channel|>'"),
    ("tokens.placeholders", {"image": {"id": 98, "text": "<|think|>"}}, "tokens: placeholders: {'image': 98}"),
    ("sampler.sample", False, "sampler: sample: False, do_sample is True"),
    ("sampler.top_k", 40, "sampler: top_k: 40, expected 64"),
    ("sampler.temperature", 0.7, "sampler: temperature: 0.7, expected 1.0"),
    ("chosen", ["sampler.top_p"], "tokens: chosen: sampler.top_p, which a file gives"),
]


@pytest.mark.parametrize(("path", "value", "words"), WRONG)
def test_a_wrong_value_is_named(
    case: CoremlCase, said: Fields, tmp_path: Path, path: str, value: object, words: str
) -> None:
    other = CoremlCase(case.package, case.folder)
    other.__dict__ |= {name: case.__dict__[name] for name in ("named_stops", "_tokenizer") if name in case.__dict__}
    (tmp_path / "feeding.json").write_text(json.dumps(changed(said, path, value)))
    other.feeding = read_feeding(tmp_path / "feeding.json")
    assert words in failed(compare_feeding(other))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (
            ROTARY.format(SLIDING, "theta"),
            9_999.0,
            "feeding: rotary embedding and window: sliding_attention: theta 9999.0",
        ),
        (
            f"calls.layer_types.{SLIDING}.window",
            63,
            "feeding: rotary embedding and window: sliding_attention: window 63",
        ),
        ("calls.mask.hidden", -10.0, "feeding: mask: hidden -10"),
        ("calls.tables.embed_tokens_per_layer.bits", 8, "feeding: row tables: embed_tokens_per_layer: bits 8"),
    ],
)
def test_a_bundle_whose_manifest_is_wrong_fails_the_first_rung(
    bundle: Path, said: Fields, tmp_path: Path, path: str, value: object, words: str
) -> None:
    other = open_case(with_feeding(bundle, tmp_path, changed(said, path, value)), demo.folder())
    (rung,) = climb(other, ("0",))
    assert rung.status == "fail"
    assert words in failed([*rung.checks])


def inputs(case: CoremlCase, start: int) -> Fields:
    first, second = case.lookup(np.arange(5, 12, dtype=np.int32))
    return case.feed.inputs(case.package.functions["prefill_16"], start, first, second)


def no_reference(case: CoremlCase) -> CoremlCase:
    """Whoever asks the reference fails."""

    class Nobody:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"the reference was asked for {name}")

    case.__dict__["reference"] = Nobody()
    return case


def test_inputs_of_a_bundle_come_from_its_files_alone_and_are_those_of_a_bare_package(
    bundle: Path, case: CoremlCase
) -> None:
    bare = open_case(bundle / "Model.mlpackage", demo.folder())
    assert isinstance(bare, CoremlCase)
    assert bare.feeding is None
    fed = open_case(bundle, demo.folder())
    assert isinstance(fed, CoremlCase)
    for start in (0, 61, 80):
        expected, found = inputs(bare, start), inputs(no_reference(fed), start)
        assert found.keys() == expected.keys()
        for name, array in found.items():
            assert array.dtype == expected[name].dtype
            rows = name.startswith(("cos", "sin"))
            # One bit of a cosine where no frequency differs, as in the demo.
            assert (
                np.allclose(array, expected[name], rtol=0, atol=6e-8) if rows else np.array_equal(array, expected[name])
            )
    assert fed.lengths == bare.lengths == {16: "prefill_16"}


@pytest.mark.parametrize(
    ("path", "value", "differs"),
    [
        (ROTARY.format(SLIDING, "theta"), 500.0, {"cos_sliding", "sin_sliding"}),
        (ROTARY.format(FULL, "turning"), 7, {"cos_full", "sin_full"}),
        (f"calls.layer_types.{SLIDING}.window", 63, {"mask_sliding"}),
        ("calls.mask.hidden", -5.0, {"mask_sliding", "mask_full"}),
        ("calls.inputs.4.source", "sines", {"cos_sliding"}),
    ],
)
def test_each_number_of_the_manifest_reaches_the_inputs_that_it_speaks_of(
    bundle: Path, case: CoremlCase, said: Fields, tmp_path: Path, path: str, value: object, differs: set[str]
) -> None:
    other = open_case(with_feeding(bundle, tmp_path, changed(said, path, value)), demo.folder())
    assert isinstance(other, CoremlCase)
    expected, found = inputs(case, 70), inputs(no_reference(other), 70)
    assert {name for name in found if not np.array_equal(found[name], expected[name])} == differs


def test_a_call_that_does_not_fit_the_package_is_no_crash(case: CoremlCase, said: Fields, tmp_path: Path) -> None:
    def other(path: str, value: object) -> CoremlCase:
        made = CoremlCase(case.package, case.folder)
        (tmp_path / "feeding.json").write_text(json.dumps(changed(said, path, value)))
        made.feeding = read_feeding(tmp_path / "feeding.json")
        return made

    with pytest.raises(CannotRunError, match=r"takes cos_full \[16, 64\], it would be fed \[16, 32\]"):
        inputs(other(ROTARY.format(FULL, "head_dim"), 32), 0)
    with pytest.raises(CannotRunError, match="the package has no function 'prefill_99'"):
        assert other("calls.chunks.lengths.0.function", "prefill_99").lengths
    with pytest.raises(CannotRunError, match="calls is null"):
        assert other("calls", None).feed


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("calls.chunks.rest", "longest_that_fits", "calls.chunks.rest: Input should be 'shortest_that_holds'"),
        ("calls.chunks.past_end", "cut", "calls.chunks.past_end: Input should be 'shorter_or_decode'"),
        ("calls.mask.rule", "full", "calls.mask.rule"),
        (f"calls.layer_types.{SLIDING}.ring.rule", "after", "Input should be 'before_the_call_then_its_own'"),
        ("calls.mask.hidden", None, "calls.mask.hidden: Input should be a valid number"),
        ("calls.tables.embed_tokens.file", "../secret", "calls.tables.embed_tokens.file"),
        ("chosen", None, "chosen: Input should be a valid list"),
    ],
)
def test_a_word_that_is_not_known_is_refused_by_its_field(
    said: Fields, tmp_path: Path, path: str, value: object, words: str
) -> None:
    (tmp_path / "feeding.json").write_text(json.dumps(changed(said, path, value)))
    with pytest.raises(InputError) as caught:
        read_feeding(tmp_path / "feeding.json")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_field_too_many_a_part_that_is_missing_and_two_sources_are_refused(
    bundle: Path, said: Fields, tmp_path: Path
) -> None:
    (tmp_path / "feeding.json").write_text(json.dumps(said | {"hurry": True}))
    with pytest.raises(InputError, match="hurry: Extra inputs are not permitted"):
        read_feeding(tmp_path / "feeding.json")
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match="does not say how its model is fed"):
        feeding_of(tmp_path / "manifest.json")
    with pytest.raises(InputError, match=r"says in manifest\.json how it is fed; leave --feeding out"):
        open_case(bundle, demo.folder(), feeding=tmp_path / "feeding.json")


def test_the_judge_of_a_build_is_given_what_the_manifest_will_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Fields] = []
    run: Callable[..., Any] = child.run

    def runs(command: list[str], *rest: Any) -> Any:
        if "--feeding" in command:
            given.append(json.loads(Path(command[command.index("--feeding") + 1]).read_text("utf-8")))
        return run(command, *rest)

    monkeypatch.setattr(child, "run", runs)
    made = build(monkeypatch, tmp_path).bundle
    assert given == [read(made).feeding.model_dump(mode="json")]
    assert "feeding.json" not in {path.name for path in made.rglob("*")}


def test_an_engines_bundle_says_tokens_and_sampler_and_is_held_to_them(demo_file: Path, tmp_path: Path) -> None:
    made = feeding.feeding(open_checkpoint("demo"), None)
    path = tmp_path / "feeding.json"
    path.write_text(feeding.to_json(made))
    sound = open_case(demo_file, demo.folder(), feeding=path)
    assert failed(compare_tokens(sound)) == ""
    path.write_text(json.dumps(changed(made.model_dump(mode="json"), "tokens.stops", [])))
    sound.feeding = read_feeding(path)
    assert "feeding: tokens: stops: [], expected [1, 50, 106]" in failed(compare_tokens(sound))


def test_the_figures_for_trying_a_reader_come_out() -> None:
    text = " ".join((REPOSITORY / "mobile_samples" / "MANIFEST.md").read_text("utf-8").split())
    rotary = Rotary(theta=1e4, kind="default", partial_factor=1.0, head_dim=32, turning=16, layout="halves")
    cosines, sines = rotary_rows(rotary, np.array([1000]))
    assert cosines[0, 3] == cosines[0, 19]
    assert f"at position 1000, pair 3 has cosine {cosines[0, 3]!s} and sine {sines[0, 3]!s}." in text
    low, high = twos_complement(np.array([[0x9C]], np.uint8), 4, 2)[0]
    assert f"byte `0x9c` holds {low} and then {high}." in text
