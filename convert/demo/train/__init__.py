"""Training of the embedded demo: its questions, its network, quantization-aware training, export. Not needed to use it.

``python -m convert.demo.train`` (``just demo-train``) runs all of it. Needs the extra ``train`` (pycountry).
"""
