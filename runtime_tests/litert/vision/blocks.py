"""Rung 2a, last part: given the reference's own inputs, does each layer of the tower give the reference's outputs?

The shipped encoder is cut behind each layer's attention and behind the layer, as the decoder is (``cuts/forced.py``).
In front of the first layer stand the patches themselves. Only the image's own patches are compared: what stands in
the padding nobody sees.

Static int8 queries, keys and values are given as well. One patch's flipped rounding would reach all others by the
attention, the same way wherever that spreads evenly: of a network of random weights one flip moved 6 % of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.case import ENCODER, LitertCase
from runtime_tests.litert.cuts.forced import GIVEN, Cut, Forced
from runtime_tests.litert.vision.budgets import ENCODES, FOREIGN, budgets
from runtime_tests.litert.vision.encoded import end_row
from runtime_tests.measures import metrics
from runtime_tests.progress import walk
from runtime_tests.reference.vision.patches import Patches, make, widest
from runtime_tests.reference.vision.pictures import FEW, pictures
from runtime_tests.reference.vision.tower import Insides
from runtime_tests.results import Check, at_least, none, stated
from runtime_tests.rungs.images.layers import MIXED, Codes, Found


def compare_blocks(case: LitertCase) -> list[Check]:
    """Every signature of the encoder on an image, and the row that stands behind an image."""
    if not case.holds_images:
        return []
    if case.foreign:
        return [stated("images: layers of the tower", 0, "layers", FOREIGN)]
    checks: list[Check] = []
    for budget in budgets(case):
        image = make(FEW[0], pictures(widest(budget, case.tower.sizes))[FEW[0]](), budget, case.tower.sizes)
        checks += _judge(case, f"{ENCODES}{budget}", _climb(case, f"{ENCODES}{budget}", image))
    return [*checks, _end(case)]


def _climb(case: LitertCase, signature: str, image: Patches) -> Found:
    cut, found = Cut(case.model(ENCODER), signature, behind=MIXED), Found()
    entry = {"images": image.pixels[None], "positions_xy": image.positions[None]}
    last: dict[str, Any] = {}
    insides = case.tower.layers(image)
    for index in walk("layers of the tower", range(case.tower.config.num_hidden_layers)):
        inside = next(insides)
        rows = {**last, **inside.boundary, **_codes(cut, inside)}
        forced = cut.part(index)
        out = {} if forced is None else _run(case, forced, entry, rows)
        _compare(case, found, image, inside, out)
        last = inside.boundary
    head = cut.part("head")
    features = {} if head is None else _run(case, head, entry, last)
    if "features" in features:
        seen = case.tower.see(image).features
        found.floats["features"] = metrics.snr_db(seen, np.asarray(features["features"])[0, : image.rows])
    else:
        found.absent.append("features, made of the last layer's output")
    found.names += 1
    return found


def _codes(cut: Cut, inside: Insides) -> dict[str, NDArray[Any]]:
    """The reference's int8 outputs of a layer's linears, by the names of the artifact's tensors."""
    known = {name: key for name, key in cut.made_by.items() if key in inside.scales}
    return {name: inside.codes(key).astype(np.int8) for name, key in known.items()}


def _run(
    case: LitertCase, forced: Forced, entry: Mapping[str, NDArray[Any]], rows: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Calls a cut layer with the reference's residuals."""
    if lost := sorted(name for name in forced.given if name not in rows):
        raise CannotRunError(f"the encoder names a boundary {lost[0]}, which the tower does not have there")
    inputs: dict[str, NDArray[Any]] = {name: value for name, value in entry.items() if name in forced.inputs}
    inputs |= {name + GIVEN: rows[name].reshape(forced.inputs[name + GIVEN]) for name in forced.given}
    made = forced.interpreter(threads=case.threads).run("forced", inputs)
    out = {name: np.array(value) for name, value in made.items()}
    forced.release()
    return out


def _compare(case: LitertCase, found: Found, image: Patches, inside: Insides, out: dict[str, NDArray[Any]]) -> None:
    codes: Codes = {}
    for name, expected in inside.boundary.items():
        found.names += 1
        if name not in out:
            found.absent.append(name)
            continue
        mine = out[name].reshape(expected.shape)[: image.count]
        found.floats[name] = metrics.snr_db(expected[: image.count], mine)
    for key in inside.scales:
        found.names += 1
        if key not in out:
            found.absent.append(key)
            continue
        steps = inside.codes(key)[: image.count]
        codes[key] = steps, out[key].reshape(-1, steps.shape[1])[: image.count].astype(np.int32)
    found.add(codes, case.budget.equal_codes)


def _judge(case: LitertCase, name: str, found: Found) -> list[Check]:
    budget = case.budget
    checks = found.codes(name, budget)
    bar = budget.block_db if budget.kernel_db is None else budget.kernel_db  # XNNPACK's own sums
    for kind in ("attention", "output", "features"):
        some = {key: value for key, value in found.floats.items() if key.rpartition("/")[2] == kind}
        if some:
            worst = min(some, key=some.__getitem__)
            checks.append(at_least(f"{name}: {kind}, worst of {len(some)}", some[worst], bar, "dB", worst))
    lost = f"{name}: boundaries and int8 outputs that it does not name"
    return [*checks, none(lost, found.absent, "names", found.names)]


def _end(case: LitertCase) -> Check:
    """The row behind an image against transformers' embedding of the token that stands there."""
    token = case.folder.transformers.eoi_token_id
    expected, _ = case.reference.embeddings(np.array([token], np.int32))
    quality = metrics.snr_db(expected.reshape(-1), end_row(case))
    return at_least("images: row behind an image", quality, case.budget.embedding_db, "dB", f"token {token}")
