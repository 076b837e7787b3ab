"""How good stylizers are, measured on pairs of a photo and a painting."""
