"""What will be built from what, and whether it can be: every refusal that needs no work comes from here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal

from convert import costs, outputs
from convert.chat_template.prepare import prepare as template
from convert.checkpoint import check_small_files, name_of, open_folder, resolve
from convert.checkpoint.config import TextConfig
from convert.checkpoint.settings import Stop, read_settings
from convert.checkpoint.types import Checkpoint
from convert.errors import PlanError
from convert.inspection.questions import check_questions, count_questions
from convert.lattice import QuantTensor, packed_width
from convert.lengths import context_length, prefill_lengths
from convert.memory import available
from convert.progress import Progress
from convert.room import Room, free_disk, room

PLATFORMS = {"android": "litert", "ios": "coreml"}
Cache = Literal["float32", "float16", "int8"]
PRECISIONS, PROFILES = ("float16", "float32"), ("gpu", "ane")

_CACHE_BYTES = {"float32": 4, "float16": 2, "int8": 1}
# What the target's kernels take, as (bits, columns per scale; 0 is one scale a row). facts: XNNPACK and the reference
# kernels run these; two-bit weights in blocks are refused at load time.
_KERNELS = {"litert": {(2, 0), (4, 0), (8, 0), (4, 32)}, "coreml": {(2, 0), (4, 0), (8, 0), (4, 32)}}
# Tables are looked up by row, so a group of scales becomes a row of its own: any number of groups will do.
_TABLES = ("embed_tokens", "embed_tokens_per_layer")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_RULE = "letters, digits, '.', '_' and '-', beginning with a letter or digit, 100 at most"
# Windows keeps these for devices, whatever follows after a dot; bundles are copied there too.
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
# Graph, metadata, tokenizer, alignment, reports: some of it is the same for all models, some grows with the weights.
# An estimate may err upwards.
_OVERHEAD, _MARGIN = 4 << 20, 0.01


@dataclass(frozen=True)
class Request:
    """What the user asked for; None where the model decides.

    Attributes:
        model: ``demo``, a hub id or a folder.
        context: tokens that fit the KV cache.
        prefill: tokens per prefill call.
        out: folder that takes ``<platform>/<name>``.
        precision, profile: ios only; see ``convert.targets.coreml.options``.
        apk: android only: ``auto`` builds ``app.apk`` where that can be done, ``require`` fails elsewhere.
        name: folder name of the bundle; by default the checkpoint's.
    """

    platform: str
    model: str
    out: Path
    context: int | None = None
    prefill: tuple[int, ...] | None = None
    cache: Cache = "float32"
    verb: str = "bundle"
    precision: str | None = None
    profile: str | None = None
    apk: Literal["auto", "require", "skip"] = "skip"
    name: str | None = None
    evaluation: Path | None = None
    questions: int | None = None

    @property
    def asked(self) -> str:
        """The request in the user's words, for messages."""
        return f"{self.verb} {self.model}" if self.verb == "convert" else f"{self.verb} {self.platform} {self.model}"


@dataclass(frozen=True)
class Plan:
    """What will be built. Sizes in bytes.

    Attributes:
        name: folder name of the bundle.
        folder: where the checkpoint lies.
        prefill: tokens per prefill call, ascending.
        added: those of them that nobody asked for and the context's end needs.
        weight_bytes: estimate of the model file.
        cache_bytes: KV cache of one conversation at full context.
        template: what becomes of the chat template, in words.
        stages: what each stage is expected to cost (costs.py); empty for a bare conversion.
        disk_needed: estimate of the most that lies on the disk at once, beyond what is there now.
        memory_needed: of the most that all processes hold at once.
        seconds: of the whole.
        room: what of that there is here.
        stops: tokens that end an answer, and who names each.
        not_carried: settings of generation_config.json that no engine follows.
        chosen: settings that no file of the checkpoint gives, with the values used.
    """

    platform: str
    target: str
    name: str
    source: str
    revision: str | None
    format: str
    folder: Path
    bundle: Path
    context: int
    prefill: tuple[int, ...]
    cache: Cache
    weight_bytes: int
    cache_bytes: int
    stages: tuple[costs.Stage, ...]
    disk_needed: int
    memory_needed: int
    seconds: float
    room: Room
    stops: tuple[Stop, ...] = ()
    not_carried: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    precision: str | None = None
    profile: str | None = None
    added: tuple[int, ...] = ()
    template: str = ""


def bundle_name(name: str, asked: str, given: bool = False) -> str:
    """``name`` if it can be a folder name on any system.

    Args:
        given: with ``--name``; otherwise it is the checkpoint's own.

    Raises:
        PlanError: it cannot.
    """
    reserved = name.partition(".")[0].lower() in _RESERVED
    if _NAME.fullmatch(name) and not name.endswith((".", ".work")) and not reserved:
        return name
    if given:
        found = f"--name {name!r} is {'a name of devices on Windows' if reserved else 'no plain name'}"
        raise PlanError(asked, found, f"Give {_RULE}")
    advice = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-._")[:100]
    if not _NAME.fullmatch(advice) or advice.endswith(".work") or advice.partition(".")[0].lower() in _RESERVED:
        advice = "my-model"
    raise PlanError(asked, f"the bundle would be called {name!r}", f"Give it another name: --name {advice}")


def check_format(checkpoint: Checkpoint, target: str, asked: str) -> None:
    """Refuses what the target cannot hold exactly.

    Raises:
        PlanError: names the first tensor and what is wrong with it.
    """
    for key, tensor in checkpoint.quants.items():
        block = tensor.columns // tensor.groups if tensor.groups > 1 else 0
        if key not in _TABLES and (tensor.bits, block) not in _KERNELS[target]:
            found = f"{key} has {tensor.bits} bits with a scale per {block or tensor.columns} columns"
            raise PlanError(asked, f"{found}, which {target} has no kernel for", "Use a mobile or q4_0 checkpoint")
        per_byte = 8 // tensor.bits
        if (block or tensor.columns) % per_byte:
            found = f"{key} has {block or tensor.columns} columns of {tensor.bits} bits to a scale"
            raise PlanError(asked, f"{found}, which do not fill whole bytes", f"Use a multiple of {per_byte} columns")


def check_cache(checkpoint: Checkpoint, cache: Cache, asked: str) -> None:
    """Refuses an int8 cache where the checkpoint brings no scales for it.

    Raises:
        PlanError: names the first layer without scales.
    """
    missing = [layer.index for layer in checkpoint.config.owners if layer.index not in checkpoint.caches]
    if cache == "int8" and missing:
        found = f"the checkpoint has no cache scales for layer {missing[0]}"
        raise PlanError(asked, f"--cache int8 was asked for and {found}", "Use --cache float32")


def choices(request: Request, asked: str) -> tuple[str | None, str | None]:
    """Precision and profile, which only ios has, with their defaults.

    Raises:
        PlanError: there is no such choice, or another platform was given one.
    """
    if request.platform != "android" and request.apk == "require":
        raise PlanError(asked, f"--apk require was given, which {request.platform} does not have", "Leave --apk out")
    if request.platform != "ios":
        for flag, value in (("--precision", request.precision), ("--profile", request.profile)):
            if value is not None:
                raise PlanError(asked, f"{flag} was given, which {request.platform} does not have", f"Leave {flag} out")
        return None, None
    if request.cache == "int8":
        found = "--cache int8 was asked for, and the cache of a Core ML program has the program's own type"
        raise PlanError(asked, found, "Leave --cache out")
    precision, profile = request.precision or PRECISIONS[0], request.profile or PROFILES[0]
    for flag, value, allowed in (("--precision", precision, PRECISIONS), ("--profile", profile, PROFILES)):
        if value not in allowed:
            raise PlanError(asked, f"there is no {flag} {value!r}", f"Use {flag} {' or '.join(allowed)}")
    if (precision, profile) == ("float32", "ane"):
        found = "--precision float32 was asked for with --profile ane, and the Neural Engine has no float32"
        raise PlanError(asked, found, "Leave --precision out")
    return precision, profile


def check_profile(checkpoint: Checkpoint, profile: str | None, asked: str) -> None:
    """Refuses what the Neural Engine does not take.

    Raises:
        PlanError: names the first tensor with scales for blocks.
    """
    if profile != "ane":
        return
    for key, tensor in checkpoint.quants.items():
        if tensor.groups > 1 and key not in _TABLES:
            found = f"--profile ane was asked for and {key} has a scale for every {tensor.columns // tensor.groups}"
            action = "Use --profile gpu, or a mobile checkpoint, whose scales are one a row"
            raise PlanError(asked, f"{found} columns, which the Neural Engine does not take", action)


def state_bytes(config: TextConfig, context: int, cache: Cache) -> int:
    """Bytes of the two states of a Core ML program: all owners alike, sizes rounded up to multiples of 32."""
    owners = config.owners
    heads, size = max(layer.kv_heads for layer in owners), max(layer.head_dim for layer in owners)
    return 2 * len(owners) * heads * (-(-context // 32) * 32) * (-(-size // 32) * 32) * _CACHE_BYTES[cache]


def cache_bytes(config: TextConfig, context: int, cache: Cache) -> int:
    """Bytes of keys and values of all owning layers at full context."""
    return sum(2 * layer.kv_heads * layer.head_dim * context * _CACHE_BYTES[cache] for layer in config.owners)


def weight_bytes(checkpoint: Checkpoint) -> int:
    """Estimate of a ``.litertlm``'s size.

    A per-row scale costs 12 bytes there (float32, and an int64 zero point that must be as long), a block scale 4
    (float16, and a float16 offset for blocks of negative scale). Floats become float32, except tables of bfloat16
    rows, which keep their 16 bits; a tied head that is not quantized is stored once more as float32.
    """
    total = sum(_stored(key, tensor) for key, tensor in checkpoint.quants.items())
    for key, tensor in checkpoint.floats.items():
        table = key.removesuffix(".weight") in _TABLES
        total += prod(tensor.shape) * (2 if table and tensor.dtype == "BF16" else 4)
        if checkpoint.config.tied and key == "embed_tokens.weight":
            total += prod(tensor.shape) * 4
    return _OVERHEAD + round(total * (1 + _MARGIN))


def table_bytes(checkpoint: Checkpoint) -> int:
    """What of ``weight_bytes`` the embedding tables take."""
    quants = sum(_stored(key, tensor) for key, tensor in checkpoint.quants.items() if key in _TABLES)
    floats = (tensor for key, tensor in checkpoint.floats.items() if key.removesuffix(".weight") in _TABLES)
    return quants + sum(prod(tensor.shape) * (2 if tensor.dtype == "BF16" else 4) for tensor in floats)


def _stored(key: str, tensor: QuantTensor) -> int:
    per_scale = 4 if tensor.groups > 1 and key not in _TABLES else 12
    return tensor.rows * (packed_width(tensor.columns, tensor.bits) + tensor.groups * per_scale)


def make(request: Request, checkpoint: Checkpoint, name: str) -> Plan:
    """The plan for an opened checkpoint.

    Raises:
        PlanError: it cannot be built; nothing has been written.
    """
    asked = request.asked
    if request.platform not in PLATFORMS:
        raise PlanError(asked, f"there is no platform {request.platform!r}", f"Use one of: {', '.join(PLATFORMS)}")
    target = PLATFORMS[request.platform]
    if request.verb != "convert":  # which makes no bundle
        name = bundle_name(name if request.name is None else request.name, asked, request.name is not None)
    precision, profile = choices(request, asked)
    context = context_length(asked, request.context, checkpoint.config.max_context)
    prefill, added = prefill_lengths(asked, request.prefill, context, target)
    check_format(checkpoint, target, asked)
    check_cache(checkpoint, request.cache, asked)
    check_profile(checkpoint, profile, asked)
    cache: Cache = request.cache if precision is None else "float16" if precision == "float16" else "float32"
    size, state = weight_bytes(checkpoint), (cache_bytes if precision is None else state_bytes)
    cached = state(checkpoint.config, context, cache)
    found = costs.sizes(
        checkpoint,
        request.platform,
        model=size,
        tables=table_bytes(checkpoint),
        cache=cached,
        context=context,
        prefills=len(prefill),
        questions=count_questions(checkpoint.folder, request.evaluation, request.questions),
        apk=request.platform == "android" and (request.apk != "skip" or request.verb == "plan"),
    )
    # A bare conversion neither judges nor packs.
    stages = costs.converting(found) if request.verb == "convert" else costs.stages(found, costs.rates())
    out = request.out.absolute()
    there = room(stages, free_disk(out), available())
    if there.lacking and request.verb != "plan":  # which shows what is lacking
        raise PlanError(asked, *there.lacking[0])
    return Plan(
        platform=request.platform,
        target=target,
        name=name,
        source=checkpoint.source.id,
        revision=checkpoint.source.revision,
        format=checkpoint.format,
        folder=checkpoint.folder,
        bundle=out / request.platform / name,
        context=context,
        prefill=prefill,
        added=added,
        cache=cache,
        weight_bytes=size,
        cache_bytes=cached,
        stages=stages,
        disk_needed=max(stage.disk for stage in stages),
        memory_needed=max(stage.memory for stage in stages),
        seconds=sum(stage.seconds for stage in stages),
        room=there,
        stops=checkpoint.settings.stops,
        not_carried=checkpoint.settings.not_carried,
        chosen=checkpoint.settings.chosen,
        precision=precision,
        profile=profile,
        template=template(checkpoint.folder, request.platform).told,
    )


def early(request: Request) -> None:
    """Refuses what can be refused before a checkpoint is fetched: choices that do not go together, names, outputs.

    Raises:
        PlanError: nothing has been fetched or written.
    """
    asked = request.asked
    if request.platform not in PLATFORMS:
        raise PlanError(asked, f"there is no platform {request.platform!r}", f"Use one of: {', '.join(PLATFORMS)}")
    choices(request, asked)
    if request.verb != "convert":  # which has checked the file it writes, and makes no bundle
        found = request.name if request.name is not None else name_of(request.model)
        if found is not None:
            name = bundle_name(found, asked, request.name is not None)
            outputs.check_bundle(request.out.absolute() / request.platform / name, asked)


def prepare(request: Request, progress: Progress) -> tuple[Plan, Checkpoint]:
    """Opens the checkpoint and makes the plan; writes nothing. Whatever a later stage reads is read here first.

    Raises:
        ConvertError: the checkpoint or the request is refused.
    """
    early(request)

    def before_the_weights(folder: Path) -> None:
        check_small_files(folder)
        read_settings(folder)
        template(folder, request.platform)

    located = resolve(request.model, progress=progress, check=before_the_weights)
    checkpoint = open_folder(located)
    made = make(request, checkpoint, located.name)
    if request.verb != "convert":
        check_questions(checkpoint.folder, request.asked, request.evaluation, request.questions)
        if request.platform == "ios":
            from convert.bundle import ios

            ios.check(checkpoint)
    return made, checkpoint
