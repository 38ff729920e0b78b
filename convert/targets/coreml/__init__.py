"""iPhone, iPad and Mac: a checkpoint becomes an `.mlpackage` (ML Program, iOS 18, specification 9) and row tables.

**Functions.** ``prefill_<n>`` takes n tokens and fills the cache; ``decode`` takes one and gives logits. They share one
``weight.bin``. ``prefill_<n>`` ends at the last layer that owns keys and values and returns only ``done [1, 1, 1]``
(an element of the cache, because a function must return something).

**Inputs** for n tokens; *float* is float32 or float16, whichever precision the package was built with:

| name | shape | type | |
|---|---|---|---|
| embeddings | [1, n, H] | float | rows of ``embed_tokens`` times sqrt(H) |
| per_layer_embeddings | [1, n, L, P] | float | rows of ``embed_tokens_per_layer`` times sqrt(P); only if P > 0 |
| position | [1] | int32 | first cache row that is written; ``position + n <= C`` is the caller's duty |
| ring_rows | [R] | int32 | what each row of a ring becomes; only where there are rings, see below |
| cos_sliding, cos_full | [n, hd_s], [n, hd_f] | float | rotary rows of the tokens' positions, see below |
| sin_sliding, sin_full | [n, hd_s], [n, hd_f] | float | |
| mask_sliding | [1, 1, n, R + n or C] | float | 0 where a token may look, -1e4 elsewhere: within the window |
| mask_full | [1, 1, n, C] | float | the same, causal alone |

They stand in this order: cosines before sines, sliding before full. The tensors of a kind of layer are there only if
the model has such layers. Columns i and i + hd/2 of a rotary row are equal; pairs that stand still have cos 1, sin 0.

C is the context, rounded up to a multiple of 32. A chunk whose padding would not fit is fed by a shorter function that
is filled, or token by token. Rows of padding are overwritten before any mask shows them.

**States** (float): ``keys_full`` and ``values_full``, each ``[owners, kv_heads, C, hd]``, of the layers that see all
of the context, and ``keys_sliding`` and ``values_sliding``, ``[owners, kv_heads, R, hd]``; index i is the i-th of the
layers of that kind that own keys and values. ``hd`` is the head size rounded up to a multiple of 32; a layer with a
smaller head, or fewer heads, uses the first columns and heads and leaves the others alone. The latter two are rings: R
is the window rounded up to a multiple of 32, and position p lies in row p modulo R. A call looks at a ring as it was
before the call (columns 0 to R - 1 of the mask) and at its own n rows (the columns behind them). Then row r of the ring
becomes row ``ring_rows[r]`` of those R + n. So padding, which no entry names, is written nowhere.

Profile ``ane``, where a part may have two states, and a context no longer than R have ``keys`` and ``values`` of all
owners instead, ``[owners, kv_heads, C, hd]``, and no ``ring_rows``.

**Outputs**: ``decode``: ``logits [1, 1, V]`` (float, softcapped); ``prefill_<n>``: ``done [1, 1, 1]`` (float).

**Types inside.** In a float16 program of profile ``gpu`` the products (linear, attention) take and give float16;
everything between them is float32, the residual stream too. In one of profile ``ane`` everything is float16, for the
Neural Engine has no float32: gains, activation scales and all other constants are rounded to it once. Squares leave its
range, so a norm there is ``x / m * rsqrt(mean((x / m)^2) + (e / m)^2 + 2^-24)``, m the row's largest magnitude and at
least 2^-14, e the root of the checkpoint's epsilon in float16. Each value's type is declared in the program.

**Names of values** in every function, for whoever looks into the program: a name of the decoder with each character
outside ``[A-Za-z0-9_]`` replaced by ``_``.

* ``layers_<i>_attention``, ``_mlp``, ``_output``: the residual stream after each block of layer i; its input is
  ``layers_<i-1>_output``, or the input ``embeddings`` for layer 0. ``layers_<i>_per_layer_input`` is ``[1, n, P]``.
* ``layers_<i>_key``, ``layers_<i>_value``: ``[1, n, kv, hd]``, new rows as the cache takes them (keys turned).
* ``<linear>_in``: int8 codes of a linear's input; ``<linear>_codes``: int8 codes of its output; ``<linear>_out``: its
  output, for example ``layers_0_mlp_up_proj_out``. The int8 ones exist where the checkpoint has the scale. Linears
  that share an input and its scale share its codes, under the first one's name (q_proj, gate_proj).

**Weights** in ``weight.bin``, by the checkpoint's key: the value ``<linear>_weight`` (``layers_0_mlp_up_proj_weight``,
shape [out, in]) is given by

* ``constexpr_blockwise_shift_scale``: 4 or 8 bit codes; scale ``[out, 1]`` (mobile) or ``[out, in/32]`` (q4_0);
* ``constexpr_lut_to_dense``: 2 bit; index = code + 2, table ``[out, 1, 4, 1]`` = (-2, -1, 0, 1) times the scale;
* ``const``: floats (``lm_head_weight`` is ``embed_tokens`` where the two are tied).

Norms and scalars are ``const`` under their full name (``layers_0_input_layernorm_weight``, ``layers_0_layer_scalar``).

In a float32 program scales are the checkpoint's, bit for bit. In a float16 program a float16 could not hold them. There
the scale (or table) of a row is the largest power of two that is not above it, within 2^-14..2^7, so that code * scale
is exact, and the rest is the const ``<linear>_gain``, ``[out]`` in float32, by which the product is multiplied:
``scale * gain`` is the checkpoint's scale, bit for bit. Scales of q4_0 blocks are bfloat16 numbers that float16 holds
exactly, if need be after a division of all by one power of two, then the gain ``[1]``; or the conversion is refused.
The static activation scales of a linear are the ``scale`` of the ``quantize`` and ``dequantize`` around it, float32;
there is none where the checkpoint has 0.

**Parts.** Profile ``ane`` cuts models of more than 15 layers, or 1.7 GB of weights as float16, into packages of their
own: ``Model.mlpackage``, ``Model_2.mlpackage`` and so on; ``gemma_bridge.parts`` in the metadata says how many. A call
runs a function in each part that has it, in order. An output of a part is the input of that name of any later part:
``layers_<i>_output``, the residual stream; ``per_layer_inputs [1, n, L, P]``; ``layers_<i>_key_cache`` and
``_value_cache [1, kv, C, hd]``, keys and values that layers of a later part read too. A part has ``keys`` and
``values`` of its own layers, so it has at most two states. The last part gives ``logits``; the last part that has
``prefill_<n>`` gives ``done``.

**Images.** Where the model takes images, a package of its own lies beside the decoder's, ``Vision.mlpackage``, with a
function ``vision_<n>`` for each number of rows that an image may become:

| name | shape | type | |
|---|---|---|---|
| images | [1, 9 n, 768] | float32 | patches from 0 to 1: rows, pixels and colours of each in this order; padding is 0 |
| positions_xy | [1, 9 n, 2] | int32 | column and row of each patch; -1 and -1 for padding, which stands behind |
| rows (output) | [1, n, H] | float | rows of the decoder, the image's own first, to stand where embeddings do |

It is of the kind of profile ``gpu`` whatever the decoder's is, with names of values as there: ``embedded``,
``layers_<i>_attention``, ``layers_<i>_output``, ``features``; ``<linear>_in``, ``_codes``, ``_out``.
The first rows of the tables of positions are float32 consts (``..._position_embedding_table_x``, ``_y``). Queries go
through attention in parts, so that no more than 16 MB of scores are there at once.

**Digest of a package**: SHA-256 of the text that lists its files by relative path, sorted, a line each:
``<sha256 hex of the file>``, two blanks, ``<path>``, newline: what ``sha256sum`` prints. Files of further parts are
among them, as ``../Model_2.mlpackage/<path>``, and those of ``Vision.mlpackage``.

Row tables: see ``convert.targets.coreml.rows``. What an app has to know of all this stands as data in the bundle's
manifest.json (``feeding.py`` here, ``mobile_samples/MANIFEST.md``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from convert import image_tokens
from convert.errors import PlanError
from convert.outputs import check_file, check_folder, check_own_folder, escaped
from convert.targets.coreml.options import CoremlOptions
from convert.targets.target import Described, Sizes, Target

if TYPE_CHECKING:
    from convert.checkpoint.types import Checkpoint
    from convert.costs import TargetCosts
    from convert.feeding import Calls
    from convert.images import Images
    from convert.inspection.report import Report
    from convert.progress import Progress

__all__ = ["TARGET", "CoremlOptions", "convert", "part_path", "write_tables"]

VISION = "Vision.mlpackage"
TABLES = ("embed_tokens.rows", "embed_tokens_per_layer.rows")


def convert(
    checkpoint: Checkpoint,
    options: CoremlOptions,
    out: Path,
    progress: Progress,
    further: Callable[[int], Path] | None = None,
) -> None:
    """Writes the package into the folder ``out``, empty or new. Weights are streamed from the checkpoint's files.

    Args:
        further: folders of the second part and those behind it, by number; by default beside ``out``.

    Raises:
        ConvertError: something in the checkpoint cannot be held by the target.
    """
    from convert.targets.coreml.build import build

    build(checkpoint, options, lambda k: out if k == 1 else (further or partial(part_path, out))(k), progress)


def part_path(out: Path, part: int) -> Path:
    """Where a part lies: ``Model.mlpackage`` is the first, ``Model_2.mlpackage`` the second."""
    return out if part == 1 else out.with_name(f"{out.stem}_{part}{out.suffix}")


def write_tables(checkpoint: Checkpoint, folder: Path, progress: Progress) -> list[Path]:
    """Writes the row tables into a folder and gives their paths.

    Raises:
        ConvertError: a table holds a number that is not finite.
    """
    from convert.targets.coreml import rows

    with progress.stage("write row tables", rows.size(checkpoint)) as stage:
        return rows.write(checkpoint, folder, stage.advance)


def _convert(checkpoint: Checkpoint, options: CoremlOptions, out: Path, progress: Progress) -> None:
    convert(checkpoint, options, out, progress)
    write_tables(checkpoint, out.parent, progress)


def _agree(asked: str, options: CoremlOptions) -> None:
    if (options.precision, options.profile) == ("float32", "ane"):
        found = "--precision float32 was asked for with --profile ane, and the Neural Engine has no float32"
        raise PlanError(asked, found, "Leave --precision out")


def _check(asked: str, checkpoint: Checkpoint, options: CoremlOptions) -> None:
    for key, tensor in checkpoint.text.quants.items():
        if options.profile == "ane" and tensor.groups > 1 and key not in checkpoint.text.tables:
            found = f"--profile ane was asked for and {key} has a scale for every {tensor.columns // tensor.groups}"
            action = "Use --profile gpu, or a mobile checkpoint, whose scales are one a row"
            raise PlanError(asked, f"{found} columns, which the Neural Engine does not take", action)
    if "vision" in checkpoint.modules:
        image_tokens.check(asked, checkpoint, options.image_rows[-1], options.context, "which the masks do not say")


def _needs(checkpoint: Checkpoint) -> None:
    from convert.targets.coreml.companions import check

    check(checkpoint)


def _sizes(checkpoint: Checkpoint, options: CoremlOptions) -> Sizes:
    from convert.targets.coreml.sizes import sizes

    return sizes(checkpoint, options)


def _costs() -> TargetCosts:
    from convert.targets.coreml.costs import COSTS

    return COSTS


def _place(out: Path, asked: str) -> None:
    """Further parts, row tables and the package for images lie beside the package."""
    check_folder(out.parent, asked)
    if out.name == VISION:
        raise PlanError(asked, f"{VISION} is what the package for images is called", "Give the model another name")
    check_own_folder(out.with_name(VISION), asked, ("Manifest.json", b'"rootModelIdentifier"'), "an .mlpackage")
    further = sorted(out.parent.glob(f"{escaped(out.stem)}_[2-9]*{out.suffix}")) if out.parent.is_dir() else []
    for part in (out, *further):
        check_own_folder(part, asked, ("Manifest.json", b'"rootModelIdentifier"'), "an .mlpackage")
    for name in TABLES:
        check_file(out.with_name(name), asked, b"GBROWS1\0", "a row table")


def _collect(checkpoint: Checkpoint, options: CoremlOptions, folder: Path) -> None:
    from convert.targets.coreml.companions import collect

    collect(checkpoint, folder)


def _files(folder: Path, checkpoint: Checkpoint) -> set[str]:
    from convert.targets.coreml.companions import COMPANIONS, packages

    parts = [*packages(folder / TARGET.model), *([folder / VISION] if "vision" in checkpoint.modules else [])]
    package = {path.relative_to(folder).as_posix() for part in parts for path in part.rglob("*") if path.is_file()}
    tables = [table for table in TABLES if table != TABLES[1] or checkpoint.text.config.per_layer_width]
    return {*package, *tables, *COMPANIONS}


def _digest(model: Path) -> str:
    from convert.targets.coreml.companions import digest

    return digest(model)


def _described(folder: Path) -> Described:
    from convert.targets.coreml.inspect import inspect_package, inspect_table
    from convert.targets.coreml.seen import SECTION

    found, tables = inspect_package(folder / TARGET.model), [folder / name for name in TABLES]
    there = [table for table in tables if table.is_file()]
    weights = (*found.weights, *(inspect_table(table) for table in there))
    read, looked_up = found.section("weights"), sum(table.stat().st_size for table in there)
    if not (folder / VISION).is_dir():
        return Described(found, weights, read, looked_up)
    seen = inspect_package(folder / VISION)
    named = tuple(replace(signature, section=SECTION) for signature in seen.signatures)
    whole = replace(found, signatures=(*found.signatures, *named))
    return Described(whole, (*weights, *seen.weights), read, looked_up, mapped_images=seen.section("weights"))


def _calls(checkpoint: Checkpoint, folder: Path) -> Calls | None:
    from convert.targets.coreml.feeding import calls

    return calls(checkpoint, folder / TARGET.model)


def _images(checkpoint: Checkpoint, folder: Path) -> Images | None:
    if "vision" not in checkpoint.modules:
        return None
    from convert.targets.coreml.inspect import inspect_package
    from convert.targets.coreml.seen import images

    return images(checkpoint, inspect_package(folder / VISION))


def _image_working(checkpoint: Checkpoint, tokens: int) -> int:
    from convert.targets.coreml.seen import working

    return working(checkpoint.modules["vision"].config, tokens)


def _inspect(path: Path) -> Report | None:
    from convert.targets.coreml.inspect import inspect_package

    return inspect_package(path) if path.suffix == ".mlpackage" and path.is_dir() else None


TARGET = Target(
    name="coreml",
    container="a Core ML package and tables of rows",
    model="Model.mlpackage",
    platforms=frozenset({"ios"}),
    options=CoremlOptions,
    prefill=(128, 1024),
    pads=False,
    renders=False,
    kernels=frozenset({(2, 0), (4, 0), (8, 0), (4, 32)}),
    toolchain=("Jinja2", "coremltools", "matplotlib", "numpy", "protobuf", "torch", "transformers"),
    runtime=lambda: ("Core ML", "iOS 18"),
    agree=_agree,
    check=_check,
    needs=_needs,
    sizes=_sizes,
    costs=_costs,
    convert=_convert,
    place=_place,
    collect=_collect,
    files=_files,
    digest=_digest,
    describe=_described,
    calls=_calls,
    inspect=_inspect,
    kinds=("an .mlpackage",),
    modules=frozenset({"text", "vision"}),
    images=_images,
    image_working=_image_working,
)
