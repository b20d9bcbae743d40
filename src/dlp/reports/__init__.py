"""A run, or a cross-validation, as one page of HTML."""
