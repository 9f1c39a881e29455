"""Would the tests notice? Small changes of the code (mutants), drawn by a seed, each in a copy, each against the tests.

A mutant that no test notices is either harmless, which README.md judges one by one, or a test is missing.
"""
