"""The fault catalogues, a small draw of each."""
