"""The demo, and the small checkpoints of tests, seen through transformers' own loader."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert import demo
from tests.support.checkpoints import calibrate
from tests.support.checkpoints.shapes import SMALL_E2B, SMALL_E4B
from tests.support.checkpoints.write import write_checkpoint

torch = pytest.importorskip("torch")
from transformers import AutoTokenizer  # noqa: E402

MAX_DEMO_BYTES = 4_000_000


def load(folder: Path) -> tuple[Any, dict[str, Any]]:
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    loaded: tuple[Any, dict[str, Any]] = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    return loaded


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def random_tokens(vocab: int, count: int, seed: int) -> Any:
    ids = np.random.default_rng(seed).integers(0, vocab, (1, count))
    ids[0, 0] = 2
    return torch.from_numpy(ids)


@pytest.fixture(scope="module", params=["mobile_e2b", "mobile_e4b", "q4_0_e2b", "q4_0_e4b"])
def loaded(request: pytest.FixtureRequest) -> tuple[Any, dict[str, Any]]:
    return load(request.getfixturevalue(request.param))


def test_transformers_finds_every_tensor_and_none_it_does_not_know(loaded: tuple[Any, dict[str, Any]]) -> None:
    model, report = loaded
    assert type(model).__name__ == "Gemma4ForConditionalGeneration"
    assert {key: found for key, found in report.items() if found} == {}


def test_logits_are_finite_and_neither_uniform_nor_saturated(loaded: tuple[Any, dict[str, Any]]) -> None:
    model, _ = loaded
    vocab = model.config.text_config.vocab_size
    with torch.inference_mode():
        logits = model(input_ids=random_tokens(vocab, 100, 0)).logits[0]
    assert bool(logits.isfinite().all())
    assert 2.5 < logits.std().item() < 6
    # The softcap bends logits of this size by more than 5 %, and ends at 30.
    assert 12 < logits.abs().max().item() < 25
    chances = logits.softmax(-1)
    entropy = -(chances * chances.clamp_min(1e-30).log()).sum(-1).mean().item()
    assert 1 < entropy < 0.5 * np.log(vocab)


def test_greedy_text_depends_on_the_prompt_and_is_not_one_token(loaded: tuple[Any, dict[str, Any]]) -> None:
    model, _ = loaded
    vocab = model.config.text_config.vocab_size
    texts = []
    for seed in range(2):
        prompt = random_tokens(vocab, 12, seed)
        texts.append(model.generate(prompt, max_new_tokens=40, do_sample=False)[0, 12:].tolist())
    assert texts[0] != texts[1]
    assert min(len(set(text)) for text in texts) >= 8


def test_the_context_beyond_the_sliding_window_matters(loaded: tuple[Any, dict[str, Any]]) -> None:
    model, _ = loaded
    text = model.config.text_config
    ids = random_tokens(text.vocab_size, 3 * text.sliding_window, 3)
    other = ids.clone()
    other[0, 1] = 5 if int(ids[0, 1]) != 5 else 6
    with torch.inference_mode():
        last, changed = (model(input_ids=each).logits[0, -1] for each in (ids, other))
    assert not torch.equal(last, changed)


def test_the_demo_stays_small() -> None:
    assert sum(path.stat().st_size for path in demo.folder().iterdir()) < MAX_DEMO_BYTES


def test_the_demo_answers_what_it_was_trained_on() -> None:
    model, tokenizer = load(demo.folder())[0], AutoTokenizer.from_pretrained(demo.folder())
    for question, answer in (("What is the two-letter code of France?", "FR"), ('Spell "star" backwards.', "rats")):
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        said = model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
        assert said[-1] == 106
        assert tokenizer.decode(said, skip_special_tokens=True).strip() == answer


def test_same_arguments_give_the_same_bytes_and_another_seed_gives_others(mobile_e2b: Path, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "same", SMALL_E2B, "mobile", 7)
    write_checkpoint(tmp_path / "other", SMALL_E2B, "mobile", 8)
    assert digests(tmp_path / "same") == digests(mobile_e2b)
    first, second = digests(mobile_e2b), digests(tmp_path / "other")
    assert [name for name in first if first[name] != second[name]] == ["model.safetensors"]


def test_a_calibration_on_a_rounding_edge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"seed 7: a scale lies .* from its rounding edge; take another seed"):
        write_checkpoint(tmp_path, SMALL_E2B, "mobile", 7, min_margin=0.5)


def test_a_magnitude_keeps_its_scale_when_its_last_bits_change() -> None:
    largest = 3.1415
    assert calibrate.rounding_margin(largest) > 1e-3
    scale = calibrate.to_scale(largest, "a", 1)
    assert scale == calibrate.to_scale(largest * (1 + 1e-4), "a", 1)
    assert scale * 127 >= largest
    assert scale != calibrate.to_scale(largest, "b", 1)


def test_unknown_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'gguf' is none of mobile, q4_0"):
        write_checkpoint(tmp_path, SMALL_E2B, "gguf", 0)


def test_shards_hold_the_same_tensors(q4_0_e4b: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    write_checkpoint(tmp_path, SMALL_E4B, "q4_0", 7, shards=3)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert [file.name for file in files] == [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    whole = load_file(q4_0_e4b / "model.safetensors")
    parts = [load_file(file) for file in files]
    assert sorted(name for part in parts for name in part) == sorted(whole)
    for part in parts:
        for name, tensor in part.items():
            assert torch.equal(tensor, whole[name]), name
    assert load(tmp_path)[1]["missing_keys"] == set()
