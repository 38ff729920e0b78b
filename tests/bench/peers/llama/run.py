"""llama.cpp: a prompt, then single tokens, timed.

``python run.py FILE CONTEXT PROMPT ANSWER THREADS`` prints JSON, and more of it for another answer behind all that went
before at every line on stdin. The file is mapped; threads, batches and caches are
those of llama.cpp's own programs, in which a sliding layer's cache holds its window.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

import llama_cpp
import numpy as np

VOCABULARY = 200  # tokens that are fed; which ones makes no difference to the time


def refuse(why: str) -> NoReturn:
    """Ends as every refusal here."""
    sys.stderr.write(f"error: {why}\n")
    sys.exit(2)


def measure(file: str, context: int, prompt: int, answer: int, threads: int) -> Iterator[dict[str, float | str]]:
    """Seconds until ready and until the first token, tokens a second, and what llama.cpp says it uses; then the same
    with the speed of another answer, and so on.
    """
    llama_cpp.llama_backend_init()
    quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    begin = time.perf_counter()
    how = llama_cpp.llama_model_default_params()
    how.use_mmap, how.n_gpu_layers = True, 0
    model = llama_cpp.llama_model_load_from_file(file.encode(), how)
    if not model:
        refuse(f"llama.cpp does not load {file}")
    shape = llama_cpp.llama_context_default_params()
    shape.n_ctx, shape.n_threads, shape.n_threads_batch, shape.swa_full = context, threads, threads, False
    state = llama_cpp.llama_init_from_model(model, shape)
    if not state:
        refuse(f"llama.cpp makes no context of {context} tokens")
    columns = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    most = llama_cpp.llama_n_batch(state)

    def feed(tokens: list[int]) -> int:
        """Decodes tokens; gives the likeliest next."""
        given = (llama_cpp.llama_token * len(tokens))(*tokens)
        code = llama_cpp.llama_decode(state, llama_cpp.llama_batch_get_one(given, len(tokens)))
        if code:
            refuse(f"llama_decode gave {code}")
        return int(np.argmax(np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(state, -1), (columns,))))

    ready = time.perf_counter()
    tokens, token = [2 + i % VOCABULARY for i in range(prompt)], 0
    for start in range(0, prompt, most):
        token = feed(tokens[start : start + most])
    first = time.perf_counter()
    while True:
        begun = time.perf_counter()
        for _ in range(answer):
            token = feed([token])
        yield {
            "ready": ready - begin,
            "first": first - ready,
            "prefill": prompt / (first - ready),
            "decode": answer / (time.perf_counter() - begun),
            "system": llama_cpp.llama_print_system_info().decode(),
            "version": llama_cpp.__version__,
        }


if __name__ == "__main__":
    context, prompt, answer, threads = map(int, sys.argv[2:6])
    for found in measure(sys.argv[1], context, prompt, answer, threads):
        print(json.dumps(found), flush=True)  # noqa: T201
        if not sys.stdin.readline():
            break
