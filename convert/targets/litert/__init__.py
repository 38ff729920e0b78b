"""Android and every other place where LiteRT-LM runs: a checkpoint becomes one `.litertlm` file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from convert import image_tokens
from convert.errors import PlanError
from convert.outputs import check_file, check_folder
from convert.targets.litert.modules import names
from convert.targets.litert.options import LitertOptions
from convert.targets.target import Described, Drafting, Sizes, Target

if TYPE_CHECKING:
    from convert.checkpoint.types import Checkpoint
    from convert.costs import TargetCosts
    from convert.feeding import Calls
    from convert.images import Images
    from convert.inspection.report import Report
    from convert.progress import Progress

__all__ = ["TARGET", "LitertOptions", "convert"]

ENGINE = "litert-lm-api"  # the engine that climbs rung 3
IMAGE_SECTIONS = ("tf_lite_vision_encoder", "tf_lite_vision_adapter", "tf_lite_end_of_vision")


def convert(checkpoint: Checkpoint, options: LitertOptions, out: Path, progress: Progress) -> None:
    """Writes ``out``. Weights are streamed from the checkpoint's files; peak memory is one chunk and the graphs.

    Raises:
        ConvertError: something in the checkpoint cannot be held by the target.
    """
    from convert.targets.litert.build import build

    build(checkpoint, options, out, progress)


def _agree(asked: str, options: LitertOptions) -> None:
    """All of its choices go together."""


def _check(asked: str, checkpoint: Checkpoint, options: LitertOptions) -> None:
    text = checkpoint.text
    missing = [layer.index for layer in text.config.owners if layer.index not in text.caches]
    if options.cache == "int8" and missing:
        found = f"the checkpoint has no cache scales for layer {missing[0]}"
        raise PlanError(asked, f"--cache int8 was asked for and {found}", "Use --cache float32")
    if "vision" in checkpoint.modules:
        image_tokens.check(
            asked, checkpoint, options.image_rows[-1], options.context, "which the decoder's masks do not"
        )


def _longer(checkpoint: Checkpoint, options: LitertOptions) -> tuple[int, ...]:
    """One call that takes the largest image with a prompt around it."""
    if "vision" not in checkpoint.modules:
        return ()
    return (
        next(length for length in (256, 512, 1024, 2048) if length >= options.image_rows[-1] + image_tokens.PROMPT),
    )


def _needs(checkpoint: Checkpoint) -> None:
    """Tokenizer and template become sections of the file; converting and planning read them."""


def _sizes(checkpoint: Checkpoint, options: LitertOptions) -> Sizes:
    from convert.targets.litert.sizes import sizes

    return sizes(checkpoint, options)


def _packs(checkpoint: Checkpoint) -> int:
    from convert.targets.litert.sizes import packed_bytes

    return packed_bytes(checkpoint)


def _costs() -> TargetCosts:
    from convert.targets.litert.costs import COSTS

    return COSTS


def _place(out: Path, asked: str) -> None:
    check_folder(out.parent, asked)
    check_file(out, asked, b"LITERTLM", "a .litertlm")


def _collect(checkpoint: Checkpoint, options: LitertOptions, folder: Path) -> None:
    """Nothing lies beside the model: tokenizer and template are sections of its file."""


def _files(folder: Path, checkpoint: Checkpoint) -> set[str]:
    return {TARGET.model}


def _digest(model: Path) -> str:
    import hashlib

    with model.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _described(folder: Path) -> Described:
    from convert.targets.litert.inspect import inspect

    found = inspect(folder / TARGET.model)
    tables = found.section("tf_lite_embedder") + found.section("tf_lite_per_layer_embedder")
    read = found.section("tf_lite_prefill_decode") + found.section("tf_lite_mtp_drafter")
    seen = sum(section.bytes for section in found.sections if section.kind in IMAGE_SECTIONS)
    return Described(found, found.weights, read, tables, _drafting(found), seen)


def _drafting(found: Report) -> Drafting | None:
    by_name = {signature.name: signature for signature in found.signatures}
    drafter = next((each for each in found.signatures if each.section == "tf_lite_mtp_drafter"), None)
    if drafter is None or "verify" not in by_name:
        return None
    (positions,) = (tensor for tensor in by_name["verify"].inputs if tensor.name == "input_pos")
    return Drafting(drafter.section, drafter.name, "verify", positions.shape[0] - 1)


def _calls(checkpoint: Checkpoint, folder: Path) -> Calls | None:
    """The engine makes the calls."""
    return None


def _images(checkpoint: Checkpoint, folder: Path) -> Images | None:
    if "vision" not in checkpoint.modules:
        return None
    from convert.targets.litert.inspect import inspect
    from convert.targets.litert.seen import images

    return images(checkpoint, TARGET.model, inspect(folder / TARGET.model))


def _image_working(checkpoint: Checkpoint, tokens: int) -> int:
    from convert.targets.litert.seen import working

    return working(checkpoint.modules["vision"].config, tokens)


def _inspect(path: Path) -> Report | None:
    from convert.targets.litert.inspect import inspect

    return inspect(path) if path.suffix in (".litertlm", ".tflite") and path.is_file() else None


def _runtime() -> tuple[str, str]:
    from importlib.metadata import version

    return "LiteRT-LM", version(ENGINE).partition("+")[0]


TARGET = Target(
    name="litert",
    container="a LiteRT-LM file",
    model="model.litertlm",
    platforms=frozenset({"android"}),
    options=LitertOptions,
    prefill=(8, 32, 128),
    pads=True,
    renders=True,
    # XNNPACK and the reference kernels run these; two-bit weights in blocks are refused at load time.
    kernels=frozenset({(2, 0), (4, 0), (8, 0), (4, 32)}),
    # Public versions are stated, without the tag of a build: the same pin elsewhere is to give the same manifest.
    toolchain=(
        "Jinja2",
        "ai-edge-litert",
        "flatbuffers",
        "litert-lm-api",
        "litert-lm-builder",
        "matplotlib",
        "numpy",
        "protobuf",
        "torch",
        "transformers",
    ),
    runtime=_runtime,
    agree=_agree,
    check=_check,
    needs=_needs,
    sizes=_sizes,
    costs=_costs,
    convert=convert,
    place=_place,
    collect=_collect,
    files=_files,
    digest=_digest,
    describe=_described,
    calls=_calls,
    inspect=_inspect,
    kinds=("a .litertlm", "a .tflite"),
    modules=names(),
    packs=_packs,
    longer=_longer,
    images=_images,
    image_working=_image_working,
)
