"""Trained stylizers for TensorFlow Serving, and as files for other programs."""
