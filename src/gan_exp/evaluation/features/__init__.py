"""Feature extractors: networks in whose features samples are compared with data, each with a name and a digest."""
