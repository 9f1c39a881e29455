"""This machine: files that are whole or not there, its clock, the memory of the process."""
