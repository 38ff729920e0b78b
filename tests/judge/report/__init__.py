"""parity.html and golden.json."""
