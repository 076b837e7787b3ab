"""Use of trained stylizers: one picture, folders of them, pictures of any size."""
