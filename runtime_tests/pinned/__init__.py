"""Packages of other people's by name, version and digest: fetched once, by this machine's package managers.

The judge runs emulated processors with them and the converter builds an app with them, so this stands on the one side
that both may import. It decides about no number: a package has its pinned digest or there is none.
"""
