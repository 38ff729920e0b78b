"""Pictures in the iOS sample, where the app cuts them itself."""
