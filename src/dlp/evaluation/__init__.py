"""How good a model is: baselines, what it gets wrong, how far its probabilities can be believed.

Here live numbers and the files that keep them. Not here: the metrics of a fit (`dlp.modules`), and
figures (`dlp.visualization`).
"""
