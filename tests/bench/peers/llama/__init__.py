"""What llama.cpp's own environment runs. These files import nothing of ours: that Python has llama_cpp, gguf, numpy."""
