"""Words for people, and texts of others made harmless: phrases, figures, durations, templates, encodings.

Pure, and knows nothing of tables, services or ledgers.
"""
