"""Pictures as files and as arrays: reading, resizing, tiles, writing. It needs no TensorFlow."""
