"""Training of stylizers: data, steps, states, previews."""
