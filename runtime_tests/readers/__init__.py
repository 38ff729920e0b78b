"""Readers of finished files. They trust no byte and share nothing with the writers."""
