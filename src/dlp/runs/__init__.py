"""Runs on disk: their folders and the small files that record what came of them."""
