"""Readers of packages: programs, their blobs, linked parts; and the row tables beside them."""
