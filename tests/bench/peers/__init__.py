"""``just bench peers [FOLDER]``: our file in the stock engine, beside llama.cpp and litert-torch's exporter."""
