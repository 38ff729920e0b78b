"""Tools for looking at the Android sample without a phone."""
