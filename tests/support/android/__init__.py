"""Tools and doubles for the Android sample."""
