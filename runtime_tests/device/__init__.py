"""A phone's own answers to a bundle's goldens, fetched over adb and judged here."""
