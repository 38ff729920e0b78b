"""The real runtimes, each behind a few functions."""
