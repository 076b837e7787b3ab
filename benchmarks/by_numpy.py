"""What NumPy is a contender in: the product of matrices, by whatever library it was built with."""

from collections.abc import Iterator

import numpy as np

from benchmarks.measure import Job


def product(job: Job) -> Iterator:
    """A product of two square matrices, whose corner is read."""
    matrix = np.random.default_rng(0).random((job.size, job.size), "float32")
    while True:
        yield
        yield float((matrix @ matrix)[0, 0])


RUNS = {"product float32": product}
