"""Runs: their folder, the callback that fills it, and checkpoints read again."""
