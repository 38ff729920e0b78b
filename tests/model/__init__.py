"""The decoder's mathematics and its symbols."""
