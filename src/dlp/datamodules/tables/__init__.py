"""Tables: files read into typed columns, and columns made into one matrix of numbers."""
