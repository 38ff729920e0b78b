"""Names of the files that the target writes, and of what a model says of itself."""

from __future__ import annotations

MODEL, EMBEDDING, TEXT = "model.onnx", "embedding.onnx", "text.onnx"
VISION, PROCESSOR = "vision.onnx", "image_processor.json"
IMAGES = (VISION, f"{VISION}.data")  # where images are converted
MODELS = (MODEL, f"{MODEL}.data", EMBEDDING, f"{EMBEDDING}.data", TEXT)
GENAI = "genai_config.json"
# Of the checkpoint, as they are; template and settings follow them, and what onnxruntime-genai reads.
COPIED = ("tokenizer.json", "tokenizer_config.json")
COMPANIONS = (*COPIED, "chat_template.jinja", "generation_config.json", GENAI)
IMAGE_TOKENS = "gemma_bridge.image_tokens"  # in the model's metadata: rows that an image becomes, at most
