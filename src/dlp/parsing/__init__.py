"""Parsing: what the words and configs of a command may say, checked against real signatures.

Here live the one LightningCLI (it parses and links sizes, and runs nothing), the check of keys, the
options of a run and the help. What is made of a parsed config is `dlp.recipe`.
"""
