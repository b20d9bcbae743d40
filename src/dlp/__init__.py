"""Deep Learning with Python, chapters 2 to 5, as a structured PyTorch Lightning project.

Importing this package loads neither torch nor Lightning; the sub-packages do so when a name of
theirs is used: ``from dlp.modules import DenseModule``, ``from dlp.datamodules import
IMDBDataModule``.
"""

__version__ = "0.1.0"
