"""The networks in whose features samples are compared with data, each with a digest that goes with its scores."""
