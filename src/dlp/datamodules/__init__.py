"""DataModules: what knows data. Each yields ``(inputs, targets)`` batches of the same splits.

Here lives what all data share (the base, targets, batches, arrays in memory); `text`, `tables` and
`images` have what is of one kind, `splitting` says which rows are in which part. Not here: losses,
metrics, networks.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)  # what __init__.pyi imports
