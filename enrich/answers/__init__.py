"""Results to the best answer and its verdict, and those joined onto the rows of a table."""
