"""The reader of safetensors files."""
