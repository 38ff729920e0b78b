"""The chat template of a checkpoint, and what the phone's engine needs it to be.

transformers renders a template with Jinja and gives it text; the LiteRT-LM engine renders it with minijinja, a relative
with fewer words, and gives it lists of parts. ``adapt`` makes a template that gives the same text there, and ``check``
proves it over a table of conversations, before any conversion.
"""
