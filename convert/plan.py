"""What will be built from what, and whether it can be: every refusal that needs no work comes from here.

It knows no target, platform or format by name: what they differ in, they say themselves (``Target``, ``Platform``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from convert import choices, costs, image_tokens, modalities, outputs
from convert.bundle.names import bundle_name
from convert.bundle.platform import Packing, find_platform, find_target
from convert.chat_template.prepare import prepare as template
from convert.checkpoint import check_small_files, name_of, open_folder, resolve
from convert.checkpoint.drafter import AUTO, check_small, locate, open_drafter, published
from convert.checkpoint.drafter import NAME as DRAFTER
from convert.checkpoint.known import known
from convert.checkpoint.settings import Stop, read_settings
from convert.checkpoint.types import Checkpoint
from convert.errors import PlanError
from convert.inspection.questions import check_questions, count_questions
from convert.lengths import context_length, prefill_lengths
from convert.memory import available
from convert.progress import Progress
from convert.room import Room, free_disk, room
from convert.targets.target import Sizes, Target


@dataclass(frozen=True)
class Request:
    """What the user asked for; None where the model decides.

    Attributes:
        model: ``demo``, a hub id or a folder.
        out: folder that takes ``<platform>/<name>``.
        context: tokens that fit the KV cache.
        prefill: tokens per prefill call.
        flags: what was chosen of the target's and the platform's own choices, by name.
        runtime: name of the target; by default the platform's.
        name: folder name of the bundle; by default the checkpoint's.
        drafter: a hub id or a folder, or ``auto`` for what is published for the model; None: there is none.
        modalities: what is converted beside text; None: all that the checkpoint has and the target has a place for.
    """

    platform: str
    model: str
    out: Path
    context: int | None = None
    prefill: tuple[int, ...] | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    runtime: str | None = None
    verb: str = "bundle"
    name: str | None = None
    evaluation: Path | None = None
    questions: int | None = None
    drafter: str | None = None
    modalities: tuple[str, ...] | None = None

    @property
    def asked(self) -> str:
        """The request in the user's words, for messages."""
        return f"{self.verb} {self.model}" if self.verb == "convert" else f"{self.verb} {self.platform} {self.model}"


@dataclass(frozen=True)
class DrafterPlan:
    """The drafter that goes along.

    Attributes:
        source, revision: see ``Source``.
        stored: how its matrices are stored, in words.
    """

    source: str
    revision: str | None
    format: str
    folder: Path
    stored: str


@dataclass(frozen=True)
class Plan:
    """What will be built. Sizes in bytes.

    Attributes:
        name: folder name of the bundle.
        folder: where the checkpoint lies.
        options: the target's, with ``context`` and ``prefill``.
        packing: what was chosen of the platform's own choices.
        cache: element type of the KV cache.
        added: prefill lengths that nobody asked for and the context's end needs.
        weight_bytes: estimate of the model file.
        cache_bytes: KV cache of one conversation at full context.
        packed_bytes: what the runtime writes once, when it first loads the model; see ``Target.packs``.
        template: what becomes of the chat template, in words.
        stages: what each stage is expected to cost (costs.py); a bare conversion has one.
        disk_needed: estimate of the most that lies on the disk at once, beyond what is there now.
        memory_needed: of the most that all processes hold at once.
        seconds: of the whole.
        room: what of that there is here.
        stops: tokens that end an answer, and who names each.
        not_carried: settings of generation_config.json that no engine follows.
        chosen: settings that no file of the checkpoint gives, with the values used.
        left_out: modules that are read and that the target does not convert.
        drafter: of what the drafter is made, and the folder where it lies; None: there is none.
        published_drafter: id of the drafter that is published for the model and was not asked for, where the target
            has a place for one.
        modalities: bytes of what takes in something beside text, by what it is.
        working: bytes of memory that the runtime takes beside it while it takes in the largest such thing.
    """

    platform: str
    target: str
    name: str
    source: str
    revision: str | None
    format: str
    folder: Path
    bundle: Path
    options: Any
    packing: Any
    cache: str
    weight_bytes: int
    cache_bytes: int
    packed_bytes: int
    stages: tuple[costs.Stage, ...]
    disk_needed: int
    memory_needed: int
    seconds: float
    room: Room
    stops: tuple[Stop, ...] = ()
    not_carried: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    added: tuple[int, ...] = ()
    template: str = ""
    left_out: tuple[str, ...] = ()
    drafter: DrafterPlan | None = None
    published_drafter: str | None = None
    modalities: Mapping[str, int] = field(default_factory=dict)
    working: Mapping[str, int] = field(default_factory=dict)

    @property
    def context(self) -> int:
        """Positions of the KV cache, in tokens."""
        return int(self.options.context)

    @property
    def prefill(self) -> tuple[int, ...]:
        """Tokens per prefill call, ascending."""
        return tuple(self.options.prefill)

    @property
    def flags(self) -> dict[str, str]:
        """The target's own choices by the names of their flags; only those that say something here."""
        names, idle = choices.flags(type(self.options)), choices.idle(type(self.options), self.modalities)
        return {name: getattr(self.options, name) for name in names if name not in idle}


def _kernels(target: Target) -> str:
    """The weights that a target can multiply with, in words."""
    blocks = sorted({block for _, block in target.kernels})
    bits = {block: ", ".join(str(b) for b, other in sorted(target.kernels) if other == block) for block in blocks}
    return "; ".join(
        f"{bits[block]} bits with a scale per {f'{block} columns' if block else 'row'}" for block in blocks
    )


def check_kernels(checkpoint: Checkpoint, target: Target, asked: str) -> None:
    """Refuses weights of the modules it converts that the target cannot multiply with exactly.

    Tables are looked up by row, so a group of scales becomes a row of its own: any number of groups will do.

    Raises:
        PlanError: names the first tensor and what is wrong with it.
    """
    modules = [module for name, module in checkpoint.modules.items() if name in target.modules]
    for key, tensor, looked_up in ((k, t, k in m.tables) for m in modules for k, t in m.quants.items()):
        if tensor.stack is not None and not target.experts:
            found = f"{key} is a stack of {tensor.stack} matrices, experts of which a token takes some"
            raise PlanError(asked, f"{found}, which {target.name} has no kernel for", "Use an E2B or E4B")
        block = tensor.columns // tensor.groups if tensor.groups > 1 else 0
        if not looked_up and (tensor.bits, block) not in target.kernels:
            found = f"{key} has {tensor.bits} bits with a scale per {block or tensor.columns} columns"
            raise PlanError(
                asked, f"{found}, which {target.name} has no kernel for", f"It has them for {_kernels(target)}"
            )
        per_byte = 8 // tensor.bits
        if (block or tensor.columns) % per_byte:
            found = f"{key} has {block or tensor.columns} columns of {tensor.bits} bits to a scale"
            raise PlanError(asked, f"{found}, which do not fill whole bytes", f"Use a multiple of {per_byte} columns")


@dataclass(frozen=True)
class Chosen:
    """What a request asks for, as far as no checkpoint is needed.

    Attributes:
        target: what is made.
        packing: what the platform does with it.
        packed: the choices of that.
        given: flags of the target's own.
        modalities: what is to be converted beside text, if the checkpoint has it where nobody asked for it.
    """

    target: Target
    packing: Packing
    packed: Any
    given: dict[str, str]
    modalities: tuple[str, ...]


def choose(request: Request) -> Chosen:
    """Refuses choices that are none, that nothing here has, or that do not go together.

    Raises:
        PlanError: names the flag.
    """
    asked = request.asked
    platform = find_platform(asked, request.platform)
    target = find_target(asked, platform, request.runtime)
    packing = platform.packing(target.name)
    whose = platform.name if target.name == platform.target else f"{platform.name} with {target.name}"
    choices.check_known(asked, request.flags, whose, target.options, packing.choices)
    given = choices.chosen(asked, target.options, request.flags)
    target.agree(asked, target.options(context=request.context or 0, prefill=(), **given))
    if request.drafter is not None and DRAFTER not in target.modules:
        found = f"--drafter was given, and {target.name} models have no place for one"
        raise PlanError(asked, found, "Leave --drafter out")
    beside = modalities.wanted(asked, request.modalities, target)
    modalities.check_idle(asked, request.modalities, target, request.flags, beside)
    packed = packing.choices(**choices.chosen(asked, packing.choices, request.flags))
    return Chosen(target, packing, packed, given, beside)


def _check_placeholder(request: Request, checkpoint: Checkpoint, printed: str) -> None:
    """Refuses images where the chat template prints no token for one, or not the checkpoint's."""
    settings = checkpoint.settings
    if "image" not in modalities.opened(checkpoint):
        return
    if (token := settings.placeholders.get("image")) is None:
        found = "config.json and the tokenizer name no token for an image (image_token_id)"
        raise PlanError(request.asked, found, "Use a checkpoint as Google publishes it")
    if settings.texts[token] not in printed:
        found = f"the chat template prints {printed!r} for an image and not {settings.texts[token]!r}"
        raise PlanError(request.asked, found, "Take chat_template.jinja from the instruction-tuned model")


def make(request: Request, checkpoint: Checkpoint, name: str) -> Plan:
    """The plan for an opened checkpoint.

    Raises:
        PlanError: it cannot be built; nothing has been written.
    """
    asked, found = request.asked, choose(request)
    target = found.target
    modalities.check_idle(asked, request.modalities, target, request.flags, modalities.opened(checkpoint))
    given = found.given | image_tokens.own(checkpoint, target.options, found.given)
    if request.verb != "convert":  # which makes no bundle
        name = bundle_name(name if request.name is None else request.name, asked, request.name is not None)
    context = context_length(asked, request.context, checkpoint.text.config.max_context)
    usual = (*target.prefill, *target.longer(checkpoint, target.options(context=context, prefill=(), **given)))
    prefill, added = prefill_lengths(asked, request.prefill, context, usual, target.pads)
    options = target.options(context=context, prefill=prefill, **given)
    check_kernels(checkpoint, target, asked)
    target.check(asked, checkpoint, options)
    sizes = target.sizes(checkpoint, options)
    stages = _stages(request, checkpoint, found, options, sizes)
    out = request.out.absolute()
    there = room(stages, free_disk(out), available())
    hints = checkpoint.drafter is None and DRAFTER in target.modules
    if there.lacking and request.verb != "plan":  # which shows what is lacking
        raise PlanError(asked, *there.lacking[0])
    words = template(checkpoint.folder, target.renders)
    _check_placeholder(request, checkpoint, words.image)
    return Plan(
        platform=request.platform,
        target=target.name,
        name=name,
        source=checkpoint.source.id,
        revision=checkpoint.source.revision,
        format=checkpoint.format,
        folder=checkpoint.folder,
        bundle=out / request.platform / name,
        options=options,
        packing=found.packed,
        added=added,
        cache=sizes.elements,
        weight_bytes=sizes.model,
        cache_bytes=sizes.cache,
        packed_bytes=target.packs(checkpoint),
        stages=stages,
        disk_needed=max(stage.disk for stage in stages),
        memory_needed=max(stage.memory for stage in stages),
        seconds=sum(stage.seconds for stage in stages),
        room=there,
        stops=checkpoint.settings.stops,
        not_carried=checkpoint.settings.not_carried,
        chosen=checkpoint.settings.chosen,
        template=words.told,
        left_out=tuple(sorted(checkpoint.modules.keys() - target.modules)),
        drafter=_drafter(checkpoint),
        published_drafter=known().drafters.get(checkpoint.source.id) if hints else None,
        modalities=sizes.modalities,
        working=sizes.working,
    )


def _drafter(checkpoint: Checkpoint) -> DrafterPlan | None:
    if (found := checkpoint.drafter) is None:
        return None
    module = found.modules[DRAFTER]
    exact, whole = len(module.quants), sum(len(tensor.shape) == 2 for tensor in module.floats.values())
    counts = [(exact, "on their grid, bit for bit"), (whole, "as floats that lie on no grid, as they are")]
    stored = ", ".join(f"{count} matrices {how}" for count, how in counts if count)
    return DrafterPlan(found.source.id, found.source.revision, found.format, found.folder, stored)


def _stages(
    request: Request, checkpoint: Checkpoint, found: Chosen, options: Any, sizes: Sizes
) -> tuple[costs.Stage, ...]:
    counted = costs.sizes(
        checkpoint,
        model=sizes.model,
        tables=sizes.tables,
        cache=sizes.cache,
        context=options.context,
        prefills=len(options.prefill),
        questions=count_questions(checkpoint.folder, request.evaluation, request.questions),
        image_rows=options.image_rows if "vision" in checkpoint.modules else (),
    )
    if request.verb == "convert":  # neither judges nor packs
        return costs.converting(counted)
    rates = costs.rates()
    return costs.stages(counted, rates, found.target.costs(), found.packing.stages(found.packed, sizes.model, rates))


def early(request: Request) -> Chosen:
    """Refuses what can be refused before a checkpoint is fetched: choices that do not go together, names, outputs.

    Raises:
        PlanError: nothing has been fetched or written.
    """
    asked, found = request.asked, choose(request)
    if request.verb != "convert":  # which has checked the file it writes, and makes no bundle
        called = request.name if request.name is not None else name_of(request.model)
        if called is not None:
            name = bundle_name(called, asked, request.name is not None)
            outputs.check_bundle(request.out.absolute() / request.platform / name, asked)
    return found


def prepare(request: Request, progress: Progress) -> tuple[Plan, Checkpoint]:
    """Opens the checkpoint and makes the plan; writes nothing. Whatever a later stage reads is read here first.

    Raises:
        ConvertError: the checkpoint or the request is refused.
    """
    found = early(request)
    drafter = published(request.model, request.asked) if request.drafter == AUTO else request.drafter
    required = request.modalities is not None

    def before_the_weights(folder: Path) -> None:
        check = partial(check_small_files, folder, required=required)
        modalities.telling(request.modalities, found.modalities, check)
        read_settings(folder)
        template(folder, found.target.renders)

    def planned(beside: tuple[str, ...]) -> tuple[Plan, Checkpoint]:
        checkpoint = open_folder(located, beside, required=required)
        if drafter is not None:
            config = checkpoint.text.config
            second = locate(drafter, progress=progress, check=lambda folder: check_small(folder, config))
            checkpoint = open_drafter(second, checkpoint)
        return make(request, checkpoint, located.name), checkpoint

    located = resolve(request.model, progress=progress, check=before_the_weights)
    made, checkpoint = modalities.telling(request.modalities, found.modalities, planned)
    if request.verb != "convert":
        check_questions(checkpoint.folder, request.asked, request.evaluation, request.questions)
        found.target.needs(checkpoint)
    return made, checkpoint
