"""The commands of ``dlp``: each file has one function, which takes a `Recipe`, and its options.

Here live also the steps that several commands share: building, resuming, starting from the weights
of another run. Not here: parsing (`dlp.recipe`), and what is of use in Python without a command
line (`dlp.crossval`, `dlp.tune`, `dlp.evaluation`).
"""
