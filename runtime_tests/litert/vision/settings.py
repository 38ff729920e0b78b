"""Rung 0: what the engine is told of images, against config.json and the tokenizer."""

from __future__ import annotations

from typing import Any

from runtime_tests.litert.case import LitertCase
from runtime_tests.litert.vision.budgets import budgets
from runtime_tests.results import Check, none, stated

DEFAULT_ROWS = 280  # of an image in transformers' image processor
CAUSAL = ("CAUSAL", "UNSPECIFIED")  # which an engine takes for causal
AHEAD = "VISION_BIDIRECTIONAL"
PREPARED = (
    "do_convert_rgb",
    "do_resize",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "patch_size",
    "pooling_kernel_size",
)


def compare_settings(case: LitertCase) -> list[Check]:
    """Tokens around an image, sizes of patches, and which tokens of an image see which."""
    told = case.artifact.llm_metadata().llm_model_type.gemma4
    config, sizes = case.folder.transformers, case.tower.sizes
    most = budgets(case)[-1] if budgets(case) else 0
    wrong = [
        *_token("start_of_image_token", told.start_of_image_token, case, config.boi_token_id),
        *_token("end_of_image_token", told.end_of_image_token, case, config.eoi_token_id),
    ]
    for name, expected in (
        ("patch_width", sizes.patch),
        ("patch_height", sizes.patch),
        ("pooling_kernel_size", sizes.kernel),
        ("max_num_patches", most * sizes.kernel**2),
    ):
        if getattr(told, name) != expected:
            wrong.append(f"{name} {getattr(told, name)}, expected {expected}")
    wrong += _attention(case)
    checks = [none("images: what the engine is told", wrong, "differences", 9), *_preparation(case)]
    if DEFAULT_ROWS not in budgets(case):
        note = f"the file has {', '.join(map(str, budgets(case)))}"
        checks.append(
            stated("images: rows of one in transformers, unless it is told otherwise", DEFAULT_ROWS, "rows", note)
        )
    return checks


def _token(name: str, union: Any, case: LitertCase, token: int) -> list[str]:
    """The engine puts the text of these tokens around the rows of an image."""
    expected = case.spelled(token)
    return [] if union.token_str == expected else [f"{name} {union.token_str!r}, expected {expected!r}"]


def _preparation(case: LitertCase) -> list[Check]:
    """What the checkpoint's files say of an image on its way to the tower: the engine does it in one way alone."""
    from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

    given = {**case.folder.optional_json("preprocessor_config.json")}
    nested = case.folder.optional_json("processor_config.json").get("image_processor")
    given |= nested if isinstance(nested, dict) else {}
    usual = {name: getattr(Gemma4ImageProcessorPil, name) for name in PREPARED}
    wrong = [f"{name} {given[name]}, the engine's is {usual[name]}" for name in PREPARED if _other(given, usual, name)]
    return (
        [none("images: another way to the tower than the engine's", wrong, "settings", len(PREPARED))] if given else []
    )


def _other(given: dict[str, Any], usual: dict[str, Any], name: str) -> bool:
    if name not in given or given[name] == usual[name]:
        return False
    numbers = isinstance(usual[name], float) and isinstance(given[name], (int, float))
    return not (numbers and abs(given[name] - usual[name]) < 1e-9)


def _attention(case: LitertCase) -> list[str]:
    """Where config.json lets rows of an image see all of it, transformers does so in sliding layers alone."""
    settings = case.artifact.executor_metadata().llm_executor_metadata.attention_mask_settings
    ahead = getattr(case.folder.transformers.get_text_config(), "use_bidirectional_attention", None) == "vision"
    every, near = (_kind(settings, name) for name in ("attention_mask_type", "local_attention_mask_type"))
    wrong = [] if every in CAUSAL else [f"attention_mask_type {every}, expected {CAUSAL[0]}"]
    if not ahead:
        return [*wrong, *([] if near in CAUSAL else [f"local_attention_mask_type {near}, expected {CAUSAL[0]}"])]
    if near != AHEAD:
        wrong.append(f"local_attention_mask_type {near}, expected {AHEAD}: config.json lets an image see itself")
    if settings.sliding_window_size != case.window:
        wrong.append(f"sliding_window_size {settings.sliding_window_size}, expected {case.window}")
    return wrong


def _kind(settings: Any, field: str) -> str:
    enumeration = settings.DESCRIPTOR.fields_by_name[field].enum_type
    return str(enumeration.values_by_number[getattr(settings, field)].name).removeprefix("ATTENTION_MASK_TYPE_")
