"""Tables: from the file of a person to one matrix of numbers.

A file is read in stages: bytes to text (`file_text`, beside this package), text to rows of cells
(`csv_cells`), cells to numbers, dates, booleans and texts (`column_types`, by `cell_numbers` and
`cell_dates`). `files` asks for them in this order; its `read_table` reads all tables of people,
those of texts and of images too. Of a large Parquet file the numbers are read again whenever they
are looked at (`parquet_columns`).

Then `input_columns` says which columns are inputs, `encoding` learns from the training part how
they become a matrix, and `reading` tells a person what everything was taken for. How rows are split
is said in `splitting`; what a target means in `targets`.
"""
