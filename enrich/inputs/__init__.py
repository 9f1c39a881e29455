"""Rows to distinct input documents: which rows are asked about, as what, and why of the others nothing is asked."""
