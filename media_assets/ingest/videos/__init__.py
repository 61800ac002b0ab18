"""Videos as a source: catalogs of one's own, and the published lists of known data sets. Not here: opening videos."""
