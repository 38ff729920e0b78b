"""The sample app as an installable APK, without the Android SDK.

Compiler, resource packer, dexer, signer and Google's engine come as pinned packages (``pieces.json``) into a cache
(:mod:`convert.apk.toolchain`); the build (:mod:`convert.apk.build`) depends on them, on ``mobile_samples/android`` and
on the bundle's files, and on nothing else: same inputs, same bytes.
"""
