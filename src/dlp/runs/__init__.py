"""Runs on disk: their folders and the small files that record what came of them.

Here live which run belongs to a config, its history, results and predictions, and the sentence on
how a fit ended. Not here: training, and commands.
"""
