"""How good a model is: baselines, what it gets wrong, how far its probabilities can be believed."""
