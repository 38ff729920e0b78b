"""The judge: runtime_tests, folder by folder."""
