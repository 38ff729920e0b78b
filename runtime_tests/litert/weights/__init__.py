"""The values behind a .tflite's constants, and whose they are."""
