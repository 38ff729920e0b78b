"""Faults in a checkpoint on its way to the converter: it refuses them, or the judge, with the true one, sees them."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.mutants.mutant import REFUSED, Mutant, Tamper, everywhere

KIND = "checkpoint"
WEIGHTS, PREFIX = "model.safetensors", "model.language_model."
KEY = f"{PREFIX}layers.2.mlp.up_proj"


def _json(name: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = json.loads((folder / name).read_text("utf-8"))
        change(content)
        (folder / name).write_text(json.dumps(content), "utf-8")

    return apply


def text(**fields: Any) -> Callable[[Path], None]:
    return _json("config.json", lambda config: config["text_config"].update(fields))


def rope(kind: str, **fields: Any) -> Callable[[Path], None]:
    return _json("config.json", lambda config: config["text_config"]["rope_parameters"][kind].update(fields))


def header(change: Callable[[dict[str, Any]], None], file: str = WEIGHTS) -> Callable[[Path], None]:
    """Rewrites the header of the weights; offsets count from its end, so the data stay as they are."""

    def apply(folder: Path) -> None:
        content = (folder / file).read_bytes()
        (length,) = struct.unpack_from("<Q", content)
        header = json.loads(content[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        (folder / file).write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    return apply


def data(
    tensor: str, offset: int, change: Callable[[bytes], bytes], size: int = 1, file: str = WEIGHTS
) -> Callable[[Path], None]:
    """Changes ``size`` bytes at an offset inside a tensor."""

    def apply(folder: Path) -> None:
        content = bytearray((folder / file).read_bytes())
        (length,) = struct.unpack_from("<Q", content)
        at = 8 + length + json.loads(content[8 : 8 + length])[tensor]["data_offsets"][0] + offset
        content[at : at + size] = change(bytes(content[at : at + size]))
        (folder / file).write_bytes(content)

    return apply


def _cut(folder: Path) -> None:
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate((folder / WEIGHTS).stat().st_size // 2)


def _header_length(folder: Path) -> None:
    with (folder / WEIGHTS).open("r+b") as file:
        file.write(struct.pack("<Q", 1 << 60))


def _exchanged(header: dict[str, Any]) -> None:
    """Two tensors of one shape under each other's name."""
    a, b = (f"{PREFIX}layers.{i}.mlp.gate_proj.weight" for i in (0, 1))
    header[a]["data_offsets"], header[b]["data_offsets"] = header[b]["data_offsets"], header[a]["data_offsets"]


def _missing(header: dict[str, Any]) -> None:
    header[f"{KEY}.weight_scaled"] = header.pop(f"{KEY}.weight_scale")


def _dtype(header: dict[str, Any]) -> None:
    header[f"{KEY}.weight_scale"]["dtype"] = "I32"


def _bits(config: dict[str, Any]) -> None:
    config["quantization_config"]["num_bits"] = 8
    for value in config["quantization_config"]["module_quant_configs"].values():
        value["num_bits"] = 8


def _only_eos(folder: Path) -> None:
    """No file knows how a turn ends: one alone would be enough for the converter."""
    for name in ("generation_config.json", "config.json"):
        _json(name, lambda content: content.update(eos_token_id=1))(folder)

    def without_roles(content: dict[str, Any]) -> None:
        for roles in (content, content["model_specific_special_tokens"]):
            del roles["eot_token"], roles["str_token"]

    _json("tokenizer_config.json", without_roles)(folder)
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text("utf-8").replace("<turn|>", "<eos>"), "utf-8")


def _template(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text("utf-8").replace("'<|turn>'", "'<|turn> '"), "utf-8")


def _on(bed: str) -> Callable[..., Iterator[Mutant]]:
    def mutants(
        name: str, what: str, change: Callable[[Path], None], *expected: str, coreml: tuple[str, ...] = ()
    ) -> Iterator[Mutant]:
        but = {"coreml": coreml} if coreml else None
        return everywhere(name, KIND, bed, what, expected or (REFUSED,), Tamper(change), but)

    return mutants


_mobile, _q4 = _on("mobile"), _on("q4_0")
NAN = struct.pack("<f", float("nan"))
SCALE = struct.pack("<f", 0.0123)
MUTANTS: tuple[Mutant, ...] = (
    *_mobile("weights_file_cut", "half of the weights", _cut),
    *_mobile("weights_header_length", "a header longer than the file", _header_length),
    *_mobile("weight_scale_missing", "a matrix without its scales", header(_missing)),
    *_mobile("weight_scale_of_integers", "scales stored as integers", header(_dtype)),
    *_mobile("weight_scale_not_a_number", "one scale is NaN", data(f"{KEY}.weight_scale", 8, lambda _: NAN, 4)),
    *_mobile("bits_of_another_model", "config.json promises 8 bits everywhere", _json("config.json", _bits)),
    *_mobile("more_layers_promised", "config.json has one layer more", text(num_hidden_layers=11)),
    *_mobile("fewer_shared_layers", "config.json lets one layer less share keys", text(num_kv_shared_layers=4)),
    *_mobile(
        "one_code_on_disk",
        "one bit of a stored matrix flipped",
        data(f"{KEY}.weight", 100, lambda b: bytes([b[0] ^ 1])),
        "0",
    ),
    *_mobile(
        "activation_scale_on_disk",
        "one stored activation scale changed",
        data(f"{KEY}.input_activation_scale", 0, lambda _: SCALE, 4),
        "0",
    ),
    *_mobile("tensors_exchanged", "two matrices under each other's name", header(_exchanged), "0"),
    *_mobile(
        "window_of_another_model", "config.json has half the window", text(sliding_window=32), "2a", coreml=("0", "2a")
    ),
    *_mobile("no_softcap_in_config", "config.json without the softcap", text(final_logit_softcapping=None), "2a"),
    *_mobile("epsilon_of_another_model", "config.json has another epsilon", text(rms_norm_eps=1e-3), "2a"),
    *_mobile(
        "theta_of_another_model",
        "config.json has another base",
        rope("full_attention", rope_theta=10_000.0),
        "2a",
        coreml=("0", "2a"),
    ),
    *_mobile(
        "stops_of_the_base_model",
        "no file names another stop than eos",
        _only_eos,
        "3",
        coreml=("0",),
    ),
    *_mobile("template_of_another_model", "another chat template", _template, "3", coreml=("0",)),
    *_q4(
        "weight_off_the_lattice",
        "one bfloat16 weight moved off its grid",
        data(f"{KEY}.weight", 64, lambda b: bytes([b[0] ^ 0x15, b[1]]), 2),
    ),
    *_q4("q4_0_weight_infinite", "one weight is infinite", data(f"{KEY}.weight", 64, lambda _: b"\x80\x7f", 2)),
    *_q4(
        "q4_0_norm_changed", "one number of a norm", data(f"{PREFIX}norm.weight", 4, lambda b: bytes([b[0] ^ 1])), "0"
    ),
)
