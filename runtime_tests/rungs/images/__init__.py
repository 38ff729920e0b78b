"""Images that are cut as a bundle's manifest says."""
