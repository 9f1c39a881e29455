"""Doubt, out to people and back: the review queue, and what they decided."""
