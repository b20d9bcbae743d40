"""Rows as people have them, a file per kind, and an exported model that predicts them.

The package stands alone: it needs NumPy, for an exported model onnxruntime, for images Pillow. An
export brings a copy along.
"""
