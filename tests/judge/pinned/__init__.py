"""Pinned packages of other people's."""
