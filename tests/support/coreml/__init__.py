"""Packages to build, run and damage."""
