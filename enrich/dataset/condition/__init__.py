"""A condition on one row, in SQL: its text to tokens, tokens to a tree, the tree to expressions of polars."""
