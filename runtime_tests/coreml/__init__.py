"""Runs saved ML Programs in torch, for judging them where Core ML does not exist."""
