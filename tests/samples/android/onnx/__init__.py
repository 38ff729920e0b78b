"""The Android sample, without Android."""
