"""The APK, its tools and the bundle that brings it."""
