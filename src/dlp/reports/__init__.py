"""A run, or a cross-validation, as one page of HTML.

Here live the page, its sections and its template. Not here: the numbers (`dlp.runs`,
`dlp.evaluation`) and the figures (`dlp.visualization`) that a page shows.
"""
