"""Encoders of rows as people have them, a file per kind, and an exported model.

The package imports nothing else of the project: it needs NumPy, for an exported model onnxruntime,
for images Pillow. An export brings a copy along.
"""
