"""What tests share: writers, doubles, tools; no tests."""
