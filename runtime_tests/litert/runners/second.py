"""The runtimes whose opinion is asked beside that of LiteRT with XNNPACK, which is what a phone runs."""

from __future__ import annotations

from dataclasses import replace

from runtime_tests.errors import CannotRunError
from runtime_tests.litert.runners.process import Process
from runtime_tests.pinned import venvs
from runtime_tests.pinned.pieces import FetchError

PLAIN = Process("LiteRT without XNNPACK", "builtin", "ai_edge_litert")
REFERENCE = Process("LiteRT's reference kernels", "reference", "ai_edge_litert")
TENSORFLOW = Process("TensorFlow's interpreter", "tensorflow", "tensorflow", asked="verify --second-opinion")
SECOND = (PLAIN, REFERENCE, TENSORFLOW)


def tensorflow() -> Process:
    """TensorFlow's interpreter in an environment of its own, which is made in the user's cache if it is not there.

    Raises:
        CannotRunError: it cannot be made, with the reason.
    """
    try:
        python = venvs.python("tensorflow")
    except FetchError as error:
        raise CannotRunError(str(error)) from error
    except OSError as error:
        raise CannotRunError(f"{error.filename} cannot be made ({error.strerror})") from error
    name = f"TensorFlow {venvs.version(python, 'tensorflow')}"
    return replace(TENSORFLOW, name=name, package="", command=(str(python), "-P"))
