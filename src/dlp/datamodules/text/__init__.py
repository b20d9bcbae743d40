"""Texts: tables, folders and archives of them, their words, and the batches made of those."""
