"""Cross-validation: which folds there are, how each is trained, and what came of all of them."""
