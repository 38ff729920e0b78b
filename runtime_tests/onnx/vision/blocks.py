"""Rung 2a, last part: given the reference's own inputs, does each layer of the tower give the reference's outputs?

The graph is cut behind each layer's attention and behind the layer, as the decoder is (``cut.py``). In front of the
first layer stand the patches themselves. Only the image's own patches are compared: what stands in the padding nobody
sees. Static int8 queries, keys and values are given as well: one patch's flipped rounding would reach all others by the
attention.

And the embedding model: rows of images stand where their tokens are, and have the padding's per-layer row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime_tests.measures import metrics
from runtime_tests.onnx.case import OnnxCase
from runtime_tests.onnx.cut import GIVEN, cut
from runtime_tests.onnx.images import ROWS, budget, given, model
from runtime_tests.onnx.runner import Arrays, Runner
from runtime_tests.progress import walk
from runtime_tests.reference.vision.patches import Patches, make, widest
from runtime_tests.reference.vision.pictures import FEW, pictures
from runtime_tests.reference.vision.tower import Insides
from runtime_tests.results import Check, at_least, none
from runtime_tests.rungs.images.layers import MIXED, Codes, Found


def compare_blocks(case: OnnxCase) -> list[Check]:
    """Every layer on an image, and where the rows of images stand among those of tokens."""
    if case.artifact.images is None:
        return []
    rows, sizes = budget(case), case.tower.sizes
    image = make(FEW[0], pictures(widest(rows, sizes))[FEW[0]](), rows, sizes)
    return [*_judge(case, _climb(case, image)), *_among(case)]


def _climb(case: OnnxCase, image: Patches) -> Found:
    found, last = Found(), dict[str, NDArray[np.float32]]()
    insides = case.tower.layers(image)
    for _ in walk("layers of the tower", range(case.tower.config.num_hidden_layers)):
        inside = next(insides)
        codes = {f"{key}/codes": inside.codes(key).astype(np.int8) for key in inside.scales}
        mixed = {name: one for name, one in codes.items() if name.removesuffix("/codes").endswith(MIXED)}
        made = _run(case, image, [*inside.boundary, *codes], {**last, **inside.boundary, **mixed}, [*mixed])
        _compare(case, found, image, inside, made)
        last = {name: value for name, value in inside.boundary.items() if name.endswith("/output")}
    seen = case.tower.see(image)
    made = _run(case, image, ["features", ROWS], last, [])
    for name, expected in (("features", seen.features), (ROWS, seen.rows)):
        found.names += 1
        if name not in made or made[name].reshape(-1, expected.shape[1]).shape[0] < image.rows:
            found.absent.append(name)
            continue
        mine = made[name].reshape(-1, expected.shape[1])[: image.rows]
        found.floats[name] = metrics.snr_db(expected[: image.rows], mine)
    return found


def _run(case: OnnxCase, image: Patches, wanted: list[str], values: Arrays, more: list[str]) -> Arrays:
    """Makes some values of the reference's."""
    there = [name for name in wanted if name in model(case).producer]
    if not there:
        return {}
    part = cut(model(case), there, None, more)
    inputs = given(image)
    for name in part.given:
        if name not in inputs:
            inputs[GIVEN + name] = values[name][None]
    return part.runner(model(case), case.threads).run(inputs)


def _compare(case: OnnxCase, found: Found, image: Patches, inside: Insides, made: Arrays) -> None:
    codes: Codes = {}
    for name, expected in inside.boundary.items():
        found.names += 1
        if name in made:
            mine = made[name].reshape(expected.shape)[: image.count]
            found.floats[name] = metrics.snr_db(expected[: image.count], mine)
        else:
            found.absent.append(name)
    for key in inside.scales:
        found.names += 1
        if f"{key}/codes" in made:
            steps = inside.codes(key)[: image.count]
            mine = made[f"{key}/codes"].reshape(-1, steps.shape[1])[: image.count]
            codes[key] = steps, mine.astype(np.int32)
        else:
            found.absent.append(key)
    found.add(codes, case.budget.equal_codes)


def _judge(case: OnnxCase, found: Found) -> list[Check]:
    budget = case.budget
    checks = found.codes("images", budget)
    for kind in ("attention", "output", "features", ROWS):
        some = {key: value for key, value in found.floats.items() if key.rpartition("/")[2] == kind}
        if some:
            worst = min(some, key=some.__getitem__)
            bar = budget.block_db
            checks.append(at_least(f"images: {kind}, worst of {len(some)}", some[worst], bar, "dB", worst))
    lost = "images: boundaries and int8 outputs that the graph does not name"
    return [*checks, none(lost, found.absent, "names", found.names)]


def _among(case: OnnxCase) -> list[Check]:
    """Two images among other tokens, one of a single row, and none at all."""
    config, budget = case.folder.transformers, case.budget
    image, end, padding = config.image_token_id, config.eoi_token_id, config.get_text_config().pad_token_id
    ids = np.array([5, image, image, image, end, 7, image, end, 9], np.int64)
    rows = np.random.default_rng(3).normal(size=(4, case.dims.hidden)).astype(np.float32)
    runner, checks = Runner(case.embedding.path, case.threads), list[Check]()
    for name, some in (("among tokens", ids), ("where there are none", ids[[0, 4, 5, 8]])):
        taken = rows[: int(np.count_nonzero(some == image))]
        made = runner.run({"input_ids": some[None], ROWS: taken})
        own = np.where(some == image, padding, some).astype(np.int32)
        first, second = case.reference.embeddings(own)
        expected = first.reshape(len(some), -1).copy()
        expected[some == image] = taken
        pairs = [("rows of images", expected, made["inputs_embeds"])]
        if second is not None:
            pairs.append(("per-layer rows of images", second.reshape(len(some), -1), made["per_layer_inputs"]))
        for what, wanted, found in pairs:
            quality = metrics.snr_db(wanted, found.reshape(len(some), -1))
            checks.append(at_least(f"images: {what} {name}", quality, budget.embedding_db, "dB"))
    return checks
