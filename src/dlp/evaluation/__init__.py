"""Baselines that a model must beat, and the mistakes that it makes."""
