"""Search for a configuration with Optuna: which parameters, what is good, who trains a trial, what came out."""
