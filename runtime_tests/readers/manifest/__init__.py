"""Parts of a bundle's manifest.json, read strictly."""
