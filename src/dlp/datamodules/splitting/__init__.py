"""Splits: rows to train on, to validate and to test, and what may not stand in two of them.

Here live hold-out and K-fold splits, groups, order in time, and the search for duplicates: pure
functions of arrays. Not here: reading rows, and training on folds (`dlp.folds`).
"""
