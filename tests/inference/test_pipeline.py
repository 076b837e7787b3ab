"""The parts of the pipeline; its results are tested in test_folder.py."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tf_style.errors import UserError
from tf_style.inference.pipeline import BATCH_PIXELS, Photo, ahead, batches


def test_results_come_in_order_and_one_is_computed_ahead():
    begun, waits = [], threading.Event()

    def square(n):
        begun.append(n)
        if n == 1:
            waits.wait(10)
        return n * n

    with ThreadPoolExecutor(2) as pool:
        results = ahead(pool, square, iter(range(5)))
        assert next(results) == 0 and 2 not in begun
        waits.set()
        assert list(results) == [1, 4, 9, 16] and sorted(begun) == [0, 1, 2, 3, 4]


def photo(name, side, *labels, fault=None):
    image = None if fault else np.zeros((side, side, 3), "float32")
    return Photo(Path(name), {label: Path(f"{name}{label}") for label in labels}, image, fault)


def test_small_photos_of_one_size_and_the_same_styles_go_together():
    fault = UserError("empty")
    photos = [
        photo("a", 32, "s"), photo("b", 32, "s"), photo("c", 40, "s"), photo("d", 40, "s", "t"),
        photo("e", 40, "s", "t"), photo("f", 0, "s", "t", fault=fault), photo("g", 40, "s", "t"),
    ]  # fmt: skip
    found = ["".join(one.path.name for one in batch) for batch in batches(photos)]
    assert found == ["ab", "c", "de", "f", "g"]
    many = [photo(str(i), 128, "s") for i in range(20)]
    assert {len(batch) for batch in batches(many)} == {BATCH_PIXELS // 128**2, 20 % 8}
