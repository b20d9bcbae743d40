"""How good a model is: folds, all of them at once, baselines, mistakes."""
