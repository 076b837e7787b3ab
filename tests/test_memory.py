import math
import re

import psutil
import pytest

from tf_style import memory
from tf_style.errors import UserError

MIB, GIB = 2**20, 2**30
V2, V1 = "memory.", "memory/memory."


@pytest.mark.parametrize(
    "files, expected",
    [
        ({}, 4 * GIB),
        # Of 2 GiB, 1.5 are used; 1 of these are files that the kernel would let go.
        (
            {f"{V2}max": f"{2 * GIB}\n", f"{V2}current": f"{3 * GIB // 2}",
             f"{V2}stat": f"anon {512 * MIB}\ninactive_file {GIB}\n"},
            3 * GIB // 2,
        ),
        (
            {f"{V1}limit_in_bytes": f"{2 * GIB}\n", f"{V1}usage_in_bytes": f"{GIB}\n",
             f"{V1}stat": "total_inactive_file 4096\n"},
            GIB + 4096,
        ),
        # No limit: a word in the second version, an enormous number in the first.
        (
            {f"{V2}max": "max\n", f"{V2}current": "5\n", f"{V2}stat": "inactive_file 0\n"},
            4 * GIB,
        ),
        (
            {f"{V1}limit_in_bytes": "9223372036854771712\n", f"{V1}usage_in_bytes": "5\n",
             f"{V1}stat": "total_inactive_file 0\n"},
            4 * GIB,
        ),
        # Over the limit, for a moment.
        (
            {f"{V2}max": "1000\n", f"{V2}current": "2000\n", f"{V2}stat": "inactive_file 0\n"},
            0,
        ),
    ],
)  # fmt: skip
def test_available_memory(tmp_path, monkeypatch, files, expected):
    found = psutil.virtual_memory()._replace(available=4 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: found)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory.available_memory(tmp_path) == expected


def test_a_system_that_does_not_tell(tmp_path, monkeypatch):
    """Linux without /proc, or without control groups."""
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    assert memory.available_memory(tmp_path) == 2**63 - 1


def test_available_memory_of_this_machine():
    assert 10 * MIB < memory.available_memory() <= 2**63 - 1


def test_what_fits_is_said(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 3 * 10**9)
    needed = memory.BASE_BYTES + memory.BYTES_PER_PIXEL * 1000 * 500
    assert memory.check_memory(500, 1000, "a.jpg") == (
        f"the largest picture, a.jpg at 1000x500, will take about {needed / 1e9:.1f} GB of memory"
    )


@pytest.mark.parametrize("option, side", [("content_size", max), ("style_size", min)])
@pytest.mark.parametrize("height, width", [(3000, 4000), (9000, 1000), (2000, 2000)])
@pytest.mark.parametrize("available", [3 * 10**8, 10**9, 4 * 10**9])
def test_what_does_not_fit_is_refused_with_the_size_that_does(
    monkeypatch, option, side, height, width, available
):
    monkeypatch.setattr(memory, "available_memory", lambda: available)
    with pytest.raises(UserError) as caught:
        memory.check_memory(height, width, "a.jpg", option)
    message = str(caught.value)
    needed = (memory.BASE_BYTES + memory.BYTES_PER_PIXEL * height * width) / 1e9
    assert f"a.jpg at {width}x{height} would take about {needed:.1f} GB" in message
    assert f"{available / 1e9:.1f} GB are free" in message
    name, size = re.search(r"--(\S+) (\d+) fits\.$", message).groups()
    assert name == option.replace("_", "-")
    # The size that is named is taken, and it is no needlessly small one.
    scale = int(size) / side(height, width)
    memory.check_memory(math.ceil(scale * height), math.ceil(scale * width), "a.jpg", option)
    scale = (int(size) + 64) / side(height, width)
    with pytest.raises(UserError):
        memory.check_memory(int(scale * height), int(scale * width), "a.jpg", option)


def test_nothing_fits(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 100 * MIB)
    with pytest.raises(UserError, match=r"a.jpg at 64x64 would .* 0.1 GB are free: end other prog"):
        memory.check_memory(64, 64, "a.jpg")


def test_what_is_allowed(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 3 * 10**9)
    assert memory.allowed_memory() == 3 * 10**9 == memory.allowed_memory(5)
    assert memory.allowed_memory(1.5) == 15 * 10**8
    memory.check_memory(1000, 1000, "a.jpg")
    sentence = "at 1000x1000 would .* and --max-memory is 0.7 GB: --content-size 64. fits"
    with pytest.raises(UserError, match=sentence.replace("64.", r"\d+")):
        memory.check_memory(1000, 1000, "a.jpg", max_memory=0.7)


def test_windows_end_where_the_picture_ends():
    assert memory.window_pixels(300, 900, tile=128, halo=32) == 192 * 192
    assert memory.window_pixels(100, 900, tile=128, halo=32) == 100 * 192


def test_the_first_choice_that_fits_or_the_last():
    sides = memory.TILES
    assert sorted(sides, reverse=True) == list(sides)
    for allowed, expected in [(1024, 1024), (1023, 768), (383, 256), (127, 128)]:
        assert memory.first_that_fits(iter(sides), lambda side: side, allowed) == expected
