"""The stacked engine: all folds of a small dense net trained as one batched model."""
