"""One fault for a drawn model: those of the mutants' catalogue that any model can have, put where the seed says."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.demo.writing.layout import PREFIX, linears
from convert.demo.writing.shape import FULL, SLIDING
from convert.demo.writing.stored import Matrix
from tests.mutants import catalogue
from tests.mutants.catalogue import checkpoint
from tests.mutants.catalogue.coreml.program import not_kept, over_the_first
from tests.mutants.catalogue.litert import codes_and_scales as numbers
from tests.mutants.mutant import FIRST, Build, Edit, Tamper
from tests.soak.draw import Drawn
from tests.support.coreml.patient import Patient as Package

ANDROID, IOS = "android", "ios"


@dataclass(frozen=True)
class Operate:
    """A finished package is changed: program, weights, or a file beside it."""

    change: Callable[[Package], None]


@dataclass(frozen=True)
class Fault:
    """Attributes:
    kind: what it damages, one of ``KINDS``.
    what: in words.
    how: how it is made, for the platform that it was drawn for.
    """

    kind: str
    what: str
    how: Edit | Build | Tamper | Operate


KINDS = ("weights", "scales", "activations", "window", "rotary", "softcap", "cache", "layer", "metadata")


def faults(drawn: Drawn, platform: str) -> list[Fault]:
    """Every fault that this model can have on this platform, at places that follow from the seed."""
    dice = random.Random(f"{drawn.seed} {platform}")
    made = _android(drawn, dice) if platform == ANDROID else _ios(drawn, dice)
    return [*made, *_anywhere(drawn, platform, dice)]


def choose(drawn: Drawn, platform: str) -> Fault:
    """One of them: the kind is drawn first, so that each is as likely as the others."""
    found, dice = faults(drawn, platform), random.Random(f"fault {drawn.seed} {platform}")
    kind = dice.choice([kind for kind in KINDS if any(fault.kind == kind for fault in found)])
    return dice.choice([fault for fault in found if fault.kind == kind])


def _matrix(drawn: Drawn, dice: random.Random) -> Matrix:
    return dice.choice(list(linears(drawn.shape)))


def _android(drawn: Drawn, dice: random.Random) -> Iterator[Fault]:
    code, scale, act = (_matrix(drawn, dice) for _ in range(3))
    size = code.rows * code.columns * (4 if drawn.format == "q4_0" else code.bits) // 8
    yield Fault("weights", f"one code of {code.key}", Edit(numbers.one_code(code.key, dice.randrange(size))))
    if drawn.format == "mobile":
        weight = f"{scale.key}.weight"
        yield Fault("scales", f"one scale of {scale.key} by an ulp", Edit(numbers.scaled(weight, numbers.ulp)))
        side = dice.choice(("input", "output"))
        change = numbers.activation(side, numbers.following, act.key)
        yield Fault("activations", f"the {side} scale of {act.key} by an ulp", Edit(change))
        yield _build("activations", "static_activations_left_out")
    else:
        yield Fault("scales", f"one block scale of {scale.key} by an ulp", Edit(numbers.block_scale(scale.key)))
        yield _build("scales", "block_offsets_unused")
    for name in ("window_one_too_long", "window_one_too_short", "window_ignored"):
        yield _build("window", name)
    yield Fault("window", "config.json's window is one longer", Tamper(checkpoint.text(sliding_window=_longer(drawn))))
    for name in ("rope_thetas_swapped", "rope_position_off_in_decode", "rope_restarts_in_every_chunk"):
        yield _build("rotary", name)
    theta = checkpoint.rope(FULL, rope_theta=drawn.shape.full_theta / 2)
    yield Fault("rotary", "config.json halves the base of full layers", Tamper(theta))
    if drawn.shape.partial_rotary < 1:
        yield _build("rotary", "partial_rotary_ignored")
    for name in ("cache_written_one_late", "cache_without_room", "cache_accumulates", "prefill_rows_out_of_order"):
        yield _build("cache", name)
    if drawn.shape.kv_shared > 1 and _wrong_owner(drawn):
        yield _build("cache", "wrong_owner")
    for name in ENGINE:
        yield _build("metadata", name)


def _longer(drawn: Drawn) -> int:
    return drawn.shape.window + 1


def _ios(drawn: Drawn, dice: random.Random) -> Iterator[Fault]:
    code, scale, act = (_matrix(drawn, dice) for _ in range(3))
    two_bits = drawn.format == "mobile" and code.bits == 2
    size = code.rows * code.columns * (4 if drawn.format == "q4_0" else code.bits) // 8
    at, part = dice.randrange(size), "indices" if two_bits else "data"
    yield Fault("weights", f"one code of {code.key}", Operate(_bit(code.key, part, at)))
    part = "lut" if drawn.format == "mobile" and scale.bits == 2 else "scale"
    yield Fault("scales", f"a scale of {scale.key} by an ulp", Operate(_bit(scale.key, part, 0)))
    if drawn.format == "mobile":
        yield Fault("activations", f"the output scale of {act.key}, twice", Operate(_doubled(act.key)))
    owners = [i for i in range(drawn.shape.layers) if drawn.shape.owns_kv(i)]
    if len(owners) > 1:
        yield Fault("cache", "decode writes the second owner's keys over the first's", Operate(over_the_first))
    yield Fault("cache", "decode does not keep its keys", Operate(not_kept("keys", ("decode",))))
    yield Fault("metadata", "the app is not told of a stop token", Operate(_stop_lost))


def _anywhere(drawn: Drawn, platform: str, dice: random.Random) -> Iterator[Fault]:
    """Faults in what both platforms share: the checkpoint on its way to the converter, and the decoder."""
    if drawn.format == "mobile":
        code = _matrix(drawn, dice)
        at = dice.randrange(code.rows * code.columns * code.bits // 8)
        flipped = _on_disk(f"{PREFIX}{code.key}.weight", at, lambda b: bytes([b[0] ^ 1]))
        yield Fault("weights", f"one bit of {code.key} on the disk", Tamper(flipped))
        act = _matrix(drawn, dice)
        grown = _on_disk(f"{PREFIX}{act.key}.input_activation_scale", 0, _ulp, 4)
        yield Fault("activations", f"the input scale of {act.key} on the disk by an ulp", Tamper(grown))
        yield Fault("activations", "two layers' activation scales exchanged", Tamper(_exchanged(drawn, dice)))
    for name in ("queries_not_rotated", "rope_sine_sign"):
        yield _build("rotary", name)
    if drawn.shape.softcap is not None:
        for name in ("softcap_left_out", "softcap_of_gemma_2"):
            yield _build("softcap", name)
        uncapped = checkpoint.text(final_logit_softcapping=None)
        yield Fault("softcap", "config.json without the softcap", Tamper(uncapped))
    else:
        capped = checkpoint.text(final_logit_softcapping=30.0)
        yield Fault("softcap", "config.json with a softcap", Tamper(capped))
    for name in LAYERS:
        yield _build("layer", name)


# What any file may be told wrong, whatever its template and tokenizer.
ENGINE = (
    "stops_on_eos_alone",
    "wrong_stop_token",
    "one_stop_too_many",
    "wrong_start_token",
    "no_start_token",
    "too_many_tokens",
    "too_few_tokens",
    "sampler_temperature",
    "no_template",
    "activations_in_float16",
    "buffer_name",
    "buffer_gone",
    "buffer_kinds_swapped",
)
LAYERS = (
    "gelu_exact",
    "values_not_normed",
    "attention_scaled",
    "residual_scalar_left_out",
    "residual_scalar_on_the_branch",
    "gate_and_up_swapped",
    "per_layer_input_of_the_next_layer",
    "per_layer_gate_left_out",
    "final_norm_without_weight",
    "norms_exchanged",
)


def _build(kind: str, name: str) -> Fault:
    """A fault of the catalogue by its name; where it wraps an operation of the decoder, it is every platform's."""
    mutant = next(mutant for mutant in catalogue.MUTANTS if mutant.path == f"{FIRST}/{name}")
    assert isinstance(mutant.fault, Build | Edit)
    return Fault(kind, mutant.what, mutant.fault)


def _wrong_owner(drawn: Drawn) -> bool:
    """Whether the owner before that of shared sliding layers has keys and values of the same shape."""
    shape = drawn.shape
    shared = [i for i in range(shape.layers) if not shape.owns_kv(i) and shape.kind(i) == SLIDING]
    return bool(shared) and (before := shape.owner(shared[0]) - 1) >= 0 and shape.kind(before) == SLIDING


def _holder(folder: Path, tensor: str) -> str:
    """The file that holds a tensor."""
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if tensor in json.loads(file.read(length)):
                return path.name
    raise AssertionError(f"{tensor} is in no file")


def _on_disk(tensor: str, at: int, change: Callable[[bytes], bytes], size: int = 1) -> Callable[[Path], None]:
    return lambda folder: checkpoint.data(tensor, at, change, size, _holder(folder, tensor))(folder)


def _ulp(content: bytes) -> bytes:
    return struct.pack("<I", struct.unpack("<I", content)[0] + 1)


def _exchanged(drawn: Drawn, dice: random.Random) -> Callable[[Path], None]:
    """The output scales of one linear in two neighbouring layers under each other's name."""
    layer = dice.randrange(drawn.shape.layers - 1)
    names = [f"{PREFIX}layers.{i}.mlp.down_proj.output_activation_scale" for i in (layer, layer + 1)]

    def apply(folder: Path) -> None:
        found = [_read(folder, name) for name in names]
        for name, value in zip(names, reversed(found), strict=True):
            _on_disk(name, 0, lambda _, value=value: value, 4)(folder)  # type: ignore[misc]

    return apply


def _read(folder: Path, tensor: str) -> bytes:
    found: list[bytes] = []
    _on_disk(tensor, 0, lambda content: found.append(content) or content, 4)(folder)  # type: ignore[func-returns-value]
    return found[0]


def _name(key: str) -> str:
    return key.replace(".", "_")


def _bit(key: str, part: str, at: int) -> Callable[[Package], None]:
    """The lowest bit of one stored byte."""

    def change(patient: Package) -> None:
        patient.bytes(f"{_name(key)}_weight", part, "decode")[at] ^= 1

    return change


def _doubled(key: str) -> Callable[[Package], None]:
    def change(patient: Package) -> None:
        for function in patient.model.mlProgram.functions:
            try:
                op = patient.operation(f"{_name(key)}_codes", function)
            except StopIteration:  # prefill ends at the last layer with a cache of its own
                continue
            scale = op.inputs["scale"].arguments[0]
            held = scale.value.immediateValue.tensor if scale.WhichOneof("binding") == "value" else None
            tensor = held or patient.constant(scale.name, function)
            if tensor.WhichOneof("value") == "floats":
                tensor.floats.values[0] *= 2
            else:
                tensor.bytes.values = (np.frombuffer(tensor.bytes.values, np.float16) * np.float16(2)).tobytes()

    return change


def _stop_lost(patient: Package) -> None:
    path = patient.path.parent / "generation_config.json"
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    content["eos_token_id"] = content["eos_token_id"][:-1]
    path.write_text(json.dumps(content), "utf-8")
