"""The stock engine on a ``.litertlm``: a prompt, then single tokens, timed by the engine itself.

``python -m tests.bench.peers.ours FILE CONTEXT PROMPT ANSWER THREADS CACHE`` prints JSON, and more of it for another
answer behind all that went before at every line on stdin. CACHE is the folder in which the engine keeps packed weights
between two starts. The binding's ``Benchmark`` is no help: it takes the places of its prompt in the cache twice, so
that a prompt of half the context leaves room for one token.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any, TypeAlias

from convert import guard
from convert.errors import ArtifactError

# A file, the context, the prompt and the answer in tokens, threads, and the engine's cache folder.
Asked: TypeAlias = tuple[str, int, int, int, int, str]
Reached: TypeAlias = Callable[[str], None]
PIECES = (" a", "a", " b", "1", " 1")


def timed(*asked: *Asked, reached: Reached = lambda what: None) -> Any:
    """The engine's figures of a prompt of so many tokens and of what follows, which a model may end before ``answer``.

    Args:
        asked: see ``Asked``.
        reached: hears ``ready`` and ``prefilled``.

    Raises:
        ArtifactError: no text of so many tokens is known.
    """
    with closing(_answers(*asked, reached)) as found:
        return next(found)


def measure(*asked: *Asked) -> Iterator[dict[str, float]]:
    """Seconds until ready and until the first token, tokens a second; then the same with the speed of another answer
    behind one token more, and so on.

    Raises:
        ArtifactError: the engine did not take so many tokens, or the model ended an answer before it had so many.
    """
    first: Any = None
    _, _, prompt, answer, _, _ = asked
    for info in _answers(*asked, lambda what: None):
        wanted = prompt if first is None else 1
        if (info.last_prefill_token_count, info.last_decode_token_count) != (wanted, answer):
            found = f"the engine counted {info.last_prefill_token_count} and {info.last_decode_token_count}"
            said = f"a prompt of {wanted} tokens and {answer} after it"
            raise ArtifactError(said, found, "Give a checkpoint that does not end its answers so early")
        first = first or {
            "ready": info.init_time_in_second,
            "first": info.time_to_first_token_in_second,
            "prefill": info.last_prefill_tokens_per_second,
        }
        yield first | {"decode": info.last_decode_tokens_per_second}


def _answers(
    file: str,
    context: int,
    prompt: int,
    answer: int,
    threads: int,
    cache: str,
    reached: Reached,
) -> Generator[Any]:
    import litert_lm

    litert_lm.set_min_log_severity(litert_lm.LogSeverity.ERROR)
    cpu = litert_lm.Backend.CPU(thread_count=threads)
    greedy = litert_lm.SamplerConfig(top_k=1, top_p=1.0, temperature=1.0, seed=1)
    engine = litert_lm.Engine(file, backend=cpu, max_num_tokens=context, cache_dir=cache, enable_benchmark=True)
    with (
        engine,
        engine.create_session(apply_prompt_template=False, sampler_config=greedy, max_output_tokens=answer) as session,
    ):
        reached("ready")
        text = text_of(engine, prompt - 1)  # the engine puts the start token before it
        while True:
            session.run_prefill([text])
            reached("prefilled")
            session.run_decode()
            yield session.get_benchmark_info()
            text = text_of(engine, 1)


def text_of(engine: Any, tokens: int) -> str:
    """A text of so many tokens.

    Raises:
        ArtifactError: no repeated piece makes it.
    """
    for piece in PIECES:
        if len(engine.tokenize(piece * tokens)) == tokens:
            return piece * tokens
    raise ArtifactError(f"a prompt of {tokens} tokens", "this tokenizer makes none of the known pieces", "Report it")


def _main() -> None:
    context, prompt, answer, threads = map(int, sys.argv[2:6])
    for found in measure(sys.argv[1], context, prompt, answer, threads, sys.argv[6]):
        print(json.dumps(found), flush=True)  # noqa: T201
        if not sys.stdin.readline():
            break


if __name__ == "__main__":
    guard.guarded(_main)
