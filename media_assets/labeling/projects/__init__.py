"""The labelling projects that come with the package, one TOML file and one template each: data only."""
