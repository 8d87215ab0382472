"""How good a generator is: samples against data, with the protocol that goes with each number."""
