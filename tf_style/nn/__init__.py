"""The mathematics and the networks: statistics, losses, layers and Keras models."""
