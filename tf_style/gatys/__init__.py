"""Gatys' method: the pixels themselves are optimised."""
