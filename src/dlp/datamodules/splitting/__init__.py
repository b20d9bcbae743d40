"""Splits: rows to train on, to validate and to test, and what may not stand in two of them."""
