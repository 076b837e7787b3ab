import math
import re

import pytest

from tf_style import memory
from tf_style.errors import UserError

KIB, MIB, GIB = 2**10, 2**20, 2**30
MEMINFO = "MemTotal:       24684084 kB\nMemAvailable:    4194304 kB\nHugePages_Total:       0\n"
V2 = "sys/fs/cgroup/memory."
V1 = "sys/fs/cgroup/memory/memory."


@pytest.fixture
def machine(tmp_path):
    """Lays out what the kernel would tell."""

    def machine(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return machine


@pytest.mark.parametrize(
    "files, expected",
    [
        ({}, 2**63 - 1),
        ({"proc/meminfo": MEMINFO}, 4 * GIB),
        ({"proc/meminfo": "MemTotal: 5 kB\n"}, 2**63 - 1),
        ({"proc/meminfo": "nonsense\n"}, 2**63 - 1),
        # Of 2 GiB, 1.5 are used; 1 of these are files that the kernel would let go.
        (
            {"proc/meminfo": MEMINFO, f"{V2}max": f"{2 * GIB}\n", f"{V2}current": f"{3 * GIB // 2}",
             f"{V2}stat": f"anon {512 * MIB}\ninactive_file {GIB}\n"},
            3 * GIB // 2,
        ),
        (
            {"proc/meminfo": MEMINFO, f"{V1}limit_in_bytes": f"{2 * GIB}\n",
             f"{V1}usage_in_bytes": f"{GIB}\n", f"{V1}stat": "total_inactive_file 4096\n"},
            GIB + 4096,
        ),
        # No limit: a word in the second version, an enormous number in the first.
        (
            {"proc/meminfo": MEMINFO, f"{V2}max": "max\n", f"{V2}current": "5\n",
             f"{V2}stat": "inactive_file 0\n"},
            4 * GIB,
        ),
        (
            {"proc/meminfo": MEMINFO, f"{V1}limit_in_bytes": "9223372036854771712\n",
             f"{V1}usage_in_bytes": "5\n", f"{V1}stat": "total_inactive_file 0\n"},
            4 * GIB,
        ),
        # Over the limit, for a moment.
        (
            {f"{V2}max": "1000\n", f"{V2}current": "2000\n", f"{V2}stat": "inactive_file 0\n"},
            0,
        ),
    ],
)  # fmt: skip
def test_available_memory(machine, files, expected):
    assert memory.available_memory(machine(files)) == expected


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


def plan(height=8192, width=8192, **changes):
    return memory.plan_tiles(height, width, "a.jpg", **{"halo": 32, "scratch": 2**31} | changes)


def test_tiles_as_large_as_fit(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 10**11)
    found = [plan(max_memory=gigabytes) for gigabytes in (4.2, 4, 2, 1.2)]
    assert [(one.tile, one.spilled) for one in found] == [
        (1024, False), (1024, True), (1024, True), (512, True),
    ]  # fmt: skip
    for one, gigabytes in zip(found, (4.2, 4, 2, 1.2), strict=True):
        assert one.memory <= gigabytes * 1e9 and one.scratch == 2**31
    # What is kept is counted once: here or there.
    assert found[0].memory - found[1].memory == 2**31
    assert plan(tile=300).tile == 300


def test_a_photo_that_was_resized_counts_as_floats(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 10**11)
    pixels = 8192**2
    floats = plan(source_pixels=pixels + 1)
    assert floats.memory - plan().memory == 9 * pixels
    large = plan(source_pixels=10 * pixels)
    assert large.memory == memory.BASE_BYTES + 270 * pixels


def test_no_tiles_fit(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 10**9)
    sentence = "a.jpg at 9000x9000 would take about 1.3 GB of memory in tiles of 128 px, and 1.0 GB"
    with pytest.raises(
        UserError, match=sentence + r" are free: --content-size (\d+) fits.$"
    ) as fault:
        plan(9000, 9000)
    # As a whole, as it would then be done.
    side = int(str(fault.value).split("--content-size ")[1].split()[0])
    assert 0.95 * 10**9 < memory.untiled_bytes(side, side) <= 10**9
    with pytest.raises(
        UserError, match=r"tiles of 1000 px, .*: --tile-size 0 --content-size \d+ f"
    ):
        plan(4000, 4000, tile=1000)
    monkeypatch.setattr(memory, "available_memory", lambda: 10**8)
    with pytest.raises(UserError, match=": end other programs.$"):
        plan(4000, 4000)
    with pytest.raises(UserError, match="--max-memory is 0.01 GB: raise it.$"):
        plan(4000, 4000, max_memory=0.01)
