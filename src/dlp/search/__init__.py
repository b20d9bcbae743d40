"""The search for hyperparameters: spaces, trials, and studies that processes share.

Here lives what stands around Optuna. Not here: the search as a function (`dlp.tune`), and how a
trial trains (`dlp.commands.trials`).
"""
