"""Readers of .litertlm files: the container, the models in it, the tokenizer."""
