"""The independent judge: reads finished files with readers of its own and runs them in the real runtimes.

Nothing here imports the converter. The reference is transformers, loading the same checkpoint by its own loader.
"""
