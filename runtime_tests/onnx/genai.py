"""onnxruntime-genai on a bundle's folder: the runtime that most apps drive such models with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from runtime_tests.errors import CannotRunError
from runtime_tests.reference.model import Ids

CONFIG = "genai_config.json"


def drives(folder: Path) -> bool:
    """Whether the models in a folder say how they are driven; bare ones do not."""
    return (folder / CONFIG).is_file()


def greedy(folder: Path, prompts: Sequence[Ids], steps: Sequence[int], threads: int) -> list[Ids]:
    """The best token again and again after each prompt, at most so many; a stop token ends them and is included.

    Raises:
        CannotRunError: the runtime refuses the folder, or stops.
    """
    import onnxruntime_genai as genai

    options = {"intra_op_num_threads": threads}
    out = []
    try:
        config = genai.Config(str(folder))
        config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
        model = genai.Model(config)
        for ids, most in zip(prompts, steps, strict=True):
            params = genai.GeneratorParams(model)
            params.set_search_options(do_sample=False, max_length=len(ids) + most)
            generator = genai.Generator(model, params)
            generator.append_tokens(ids.astype(np.int32))
            said = list[int]()
            while not generator.is_done() and len(said) < most:
                generator.generate_next_token()
                said.append(int(generator.get_next_tokens()[0]))
            out.append(np.array(said, np.int32))
    except RuntimeError as error:
        raise CannotRunError(f"onnxruntime-genai stopped: {' '.join(str(error).split())[:300]}") from error
    return out
