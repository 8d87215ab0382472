"""The features that `--features` may name."""

FEATURES = ("cnn", "ssl", "inception", "random", "pixels")
OF_EVALUATIONS_IN_TRAINING = ("cnn", "ssl", "pixels", "points")  # of each kind of data its usual ones; earlier pixels
