"""Surveys: what takes long to compute, or needs a network that does not ship, written down once."""
