"""The runtimes whose opinion is asked beside that of LiteRT with XNNPACK, which is what a phone runs."""

from __future__ import annotations

from runtime_tests.litert.runners.process import Process

PLAIN = Process("LiteRT without XNNPACK", "builtin", "ai_edge_litert")
REFERENCE = Process("LiteRT's reference kernels", "reference", "ai_edge_litert")
TENSORFLOW = Process("TensorFlow's interpreter", "tensorflow", "tensorflow", extra="tensorflow")
SECOND = (PLAIN, REFERENCE, TENSORFLOW)
