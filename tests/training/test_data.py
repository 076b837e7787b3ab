import colorsys
import itertools
import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_style.errors import UserError
from tf_style.images import reading
from tf_style.training import data

RNG = np.random.default_rng(11)


def noise(height, width):
    """Smooth noise, which JPEG keeps and by which every crop can be told."""
    small = RNG.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def scan(path, **options):
    return data.scan(path, **{"cache": os.devnull} | options)


def batches(content, style, steps, **options):
    defaults = {"batch_size": 4, "resize_size": 16, "crop_size": 8, "seed": 0}
    dataset = data.pairs(content, style, steps=steps, **defaults | options)
    return [tuple(part.numpy() for part in batch) for batch in dataset]


def assert_same(some, others):
    for one, other in zip(some, others, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Three photos and five paintings of noise."""
    folder = tmp_path_factory.mktemp("noisy")
    for i in range(3):
        save(folder / "content" / f"{i}.jpg", noise(24 + i, 40))
    for i in range(5):
        save(folder / "style" / f"{i}.png", noise(33, 24 + i))
    return scan(folder / "content"), scan(folder / "style")


@pytest.fixture(scope="module")
def solid(tmp_path_factory):
    """Folders of 1, 5 and 7 pictures in one shade each, from which `drawn` tells which it was."""
    folders = {}
    for count in (1, 5, 7):
        folder = tmp_path_factory.mktemp(f"solid{count}")
        for i in range(count):
            save(folder / f"{i}.png", np.full((9, 12, 3), 30 * i, np.uint8))
        folders[count] = scan(folder)
    return folders


def drawn(content, style, count, **options):
    """The numbers of the pictures in `count` consecutive pairs."""
    batch_size = 35
    steps = range(-(-count // batch_size))
    found = batches(content, style, steps, batch_size=batch_size, **options)
    return [
        np.rint(np.concatenate([batch[which] for batch in found]).mean((1, 2, 3)) * 255 / 30)[
            :count
        ].astype(int)
        for which in (0, 1)
    ]


# -- pairs -----------------------------------------------------------------------------------------


def test_batch(noisy):
    for content, style, own in batches(*noisy, range(2)):
        for image in (content, style):
            assert image.shape == (4, 8, 8, 3) and image.dtype == np.float32
            assert 0 <= image.min() < 0.3 < 0.7 < image.max() <= 1 + 1e-6
        assert own.dtype == np.float32 and own.tolist() == [0, 0, 0, 0]


def test_resumed_run_sees_what_it_would_have_seen(noisy):
    whole = batches(*noisy, range(6), identity=True)
    assert len(whole) == 6
    for start in (1, 5):
        assert_same(batches(*noisy, range(start, 6), identity=True), whole[start:])
    for one, other in itertools.combinations(whole, 2):
        assert not np.array_equal(one[0], other[0]) and not np.array_equal(one[1], other[1])


def test_pair_does_not_depend_on_the_batch_size(noisy):
    by_two, by_six = (
        batches(*noisy, range(6), batch_size=2),
        batches(*noisy, range(2), batch_size=6),
    )
    for which in (0, 1):
        np.testing.assert_array_equal(
            np.concatenate([batch[which] for batch in by_two]),
            np.concatenate([batch[which] for batch in by_six]),
        )


@pytest.mark.parametrize("pipelines, replicas", [(1, 2), (2, 2), (2, 4)])
def test_workers_see_together_what_one_sees(noisy, pipelines, replicas):
    options = {"batch_size": 8, "identity": True}
    whole = batches(*noisy, range(1, 4), **options)
    parts = [
        batches(*noisy, range(1, 4), pipelines=pipelines, pipeline=i, replicas=replicas, **options)
        for i in range(pipelines)
    ]
    local = replicas // pipelines  # devices of one worker
    for step, batch in enumerate(whole):
        devices = [part[step * local + i] for part in parts for i in range(local)]
        assert all(len(own) == 8 // replicas for _, _, own in devices)
        assert_same([batch], [[np.concatenate(column) for column in zip(*devices, strict=True)]])


def test_each_epoch_is_a_permutation(solid):
    content, style = drawn(solid[7], solid[5], 70)
    for numbers, count in ((content, 7), (style, 5)):
        epochs = numbers.reshape(-1, count)
        assert (np.sort(epochs) == np.arange(count)).all()
        assert len({tuple(epoch) for epoch in epochs}) > len(epochs) / 2
    assert (drawn(solid[1], solid[7], 7)[0] == 0).all()


def test_every_draw_of_an_augmented_painting_is_a_number_of_its_own(tmp_path):
    """Each can be read off a crop of one colour whose chroma grows down and across, ever faster."""
    y, x = np.mgrid[:256, :256] / 256
    hue, grey, chroma = 0.3, 0.5, 0.1 * np.exp(0.5 * (x**2 + y**2))
    wheel = np.array(colorsys.hsv_to_rgb(hue, 1, 1))
    pixels = grey + chroma[..., None] * (wheel - wheel.max())
    save(tmp_path / "style.png", np.rint(pixels * 255).astype(np.uint8))
    found = scan(tmp_path)
    options = {"batch_size": 500, "resize_size": 256, "crop_size": 64, "augment_styles": True}
    ((_, style, _),) = batches(found, found, range(1), **options)
    top, low = style.max(-1), style.min(-1)
    across, down = (np.diff(np.log(top - low), axis=axis).mean((1, 2)) for axis in (2, 1))
    mean = style.mean((1, 2))
    draws = {
        "left": np.abs(across), "top": np.abs(down),
        "mirrored": across < 0, "upside down": down < 0,
        "hue": [colorsys.rgb_to_hsv(*map(float, colour))[0] for colour in mean],
        "brightness": top.mean((1, 2)),
    }  # fmt: skip
    # What the place has not made of the chroma, the saturation has.
    place = np.stack([draws["left"] ** 2, draws["top"] ** 2, np.ones(500)], -1)
    level = np.log((top - low).mean((1, 2)))
    draws["saturation"] = level - place @ np.linalg.lstsq(place, level, rcond=None)[0]
    correlations = np.corrcoef([np.asarray(draw, float) for draw in draws.values()])
    assert np.abs(correlations - np.eye(len(draws))).max() < 0.15  # 3.4 standard deviations
    low, high = np.exp(np.percentile(draws["saturation"], [1, 99]))
    assert high / low == pytest.approx(1.5 / 0.5, rel=0.15)
    assert np.ptp(draws["hue"]) == pytest.approx(2 * data.HUE, rel=0.05)
    assert np.ptp(draws["brightness"]) == pytest.approx(2 * data.BRIGHTNESS, rel=0.05)
    assert all(0.4 < np.mean(draws[name]) < 0.6 for name in ("mirrored", "upside down"))


def test_content_and_style_are_drawn_independently(solid):
    content, style = drawn(solid[7], solid[7], 700)
    pairs = np.zeros((7, 7), int)
    np.add.at(pairs, (content, style), 1)
    # 100 epochs: each of the 49 pairs some 14 times.
    assert pairs.sum(0).tolist() == pairs.sum(1).tolist() == [100] * 7
    assert pairs.min() >= 4 and pairs.max() <= 28
    np.testing.assert_array_equal(drawn(solid[7], solid[5], 70)[0], content[:70])
    np.testing.assert_array_equal(drawn(solid[5], solid[7], 70)[1], style[:70])


def test_seed_changes_order_and_crops(solid, noisy):
    orders = {
        tuple(numbers)
        for seed in (0, 1, 2, 2**32 - 1)
        for numbers in drawn(solid[7], solid[7], 35, seed=seed)
    }
    assert len(orders) == 8
    one = [scan(pictures.paths[0]) for pictures in noisy]
    crops = np.stack([batches(*one, range(1), seed=seed)[0][0] for seed in range(4)])
    assert len(np.unique(crops.reshape(4, -1), axis=0)) == 4


def test_identity(noisy):
    plain = batches(*noisy, range(3), batch_size=5)
    for (content, style, own), without in zip(
        batches(*noisy, range(3), batch_size=5, identity=True), plain, strict=True
    ):
        assert own.tolist() == [1, 0, 0, 0, 0]
        np.testing.assert_array_equal(style[0], content[0])
        assert not np.array_equal(without[1][0], content[0])
        # The other pairs are what they are without it.
        np.testing.assert_array_equal(content, without[0])
        np.testing.assert_array_equal(style[1:], without[1][1:])


# -- crops -----------------------------------------------------------------------------------------

LAST = np.nextafter(np.float32(1), np.float32(0))


def box(height, width, random, share):
    return [int(x) for x in data.crop_box(height, width, tf.constant(random, tf.float32), share)]


@pytest.mark.parametrize("share", [0.01, 0.5, 0.73, 1.0])
@pytest.mark.parametrize("height, width", [(1, 1), (1, 50), (7, 6), (333, 500), (4000, 65_536)])
def test_crop_box_reaches_every_corner_and_no_further(height, width, share):
    top, left, side = box(height, width, [0, 0], share)
    assert (top, left) == (0, 0)
    assert side == max(1, round(share * min(height, width)))
    assert box(height, width, [LAST, 0], share) == [height - side, 0, side]
    assert box(height, width, [0, LAST], share) == [0, width - side, side]
    assert box(height, width, [LAST, LAST], share) == [height - side, width - side, side]


def test_crops_are_spread_evenly(tmp_path):
    # 5x6, and crops of 3: 3x4 places, told by the shade of the first pixel.
    ramp = np.repeat(8 * np.arange(30, dtype=np.uint8).reshape(5, 6)[..., None], 3, -1)
    pictures = scan(save(tmp_path / "a.png", ramp))
    crops, others, _ = batches(
        pictures, pictures, range(1), batch_size=1200, resize_size=5, crop_size=3
    )[0]
    for found in (crops, others):
        places, counts = np.unique(np.rint(found[:, 0, 0, 0] * 255 / 8), return_counts=True)
        assert places.tolist() == [0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 14, 15]
        assert counts.min() > 60 and counts.max() < 140
    assert not np.array_equal(crops, others)


def test_crop_of_the_resized_picture_is_the_resized_crop(tmp_path):
    # Red and green tell where a crop lies; blue, how well it was resampled.
    y, x = np.mgrid[0:120, 0:160]
    blue = 128 + 60 * np.sin(x / 7) + 60 * np.cos(y / 5 + x / 11)
    picture = np.stack([x, y, blue], -1).astype(np.uint8)
    pictures = scan(save(tmp_path / "a.png", picture))
    # The shorter side of 120 to 60: crops of 30 are 60 of the original's pixels.
    resized = tf.image.resize(picture / np.float32(255), [60, 80], antialias=True).numpy()
    compared = 0
    for crop in batches(pictures, pictures, range(1), batch_size=64, resize_size=60, crop_size=30)[
        0
    ][0]:
        left, top = np.rint(crop[..., :2].mean((0, 1)) * 255 - 29.5).astype(int)
        assert 0 <= left <= 100 and 0 <= top <= 60
        if left % 2 == top % 2 == 0:
            whole = resized[top // 2 : top // 2 + 30, left // 2 : left // 2 + 30]
            assert np.abs(crop - whole)[1:-1, 1:-1].max() < 1e-5
            compared += 1
    assert compared >= 5


def test_small_pictures_are_enlarged(tmp_path):
    pictures = scan(save(tmp_path / "a.png", np.full((3, 2, 3), 51, np.uint8)))
    crop = batches(pictures, pictures, range(1), resize_size=64, crop_size=48)[0][0]
    assert crop.shape == (4, 48, 48, 3)
    np.testing.assert_allclose(crop, 0.2, atol=1e-6)


# -- decoding --------------------------------------------------------------------------------------


def png_with_wrong_checksum(path):
    content = bytearray(save(path, noise(32, 32)).read_bytes())
    start = content.index(b"IDAT")
    end = start + 4 + int.from_bytes(content[start - 4 : start])
    assert content[end : end + 4] == zlib.crc32(content[start:end]).to_bytes(4)
    content[end] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def motley(tmp_path_factory):
    """Square pictures: those that tf.io is to decode, and those that it cannot, or not rightly."""
    folder = tmp_path_factory.mktemp("motley")
    turned = Image.Exif()
    turned[0x0112] = 6
    save(folder / "plain" / "420.jpg", noise(32, 32), quality=80)
    save(folder / "plain" / "444.jpeg", noise(32, 32), subsampling=0)
    save(folder / "plain" / "progressive.jpg", noise(32, 32), progressive=True)
    save(folder / "plain" / "gray.jpg", noise(32, 32)[..., 0])
    save(folder / "plain" / "rgb.png", noise(32, 32))
    save(folder / "plain" / "gray.png", noise(32, 32)[..., 0])
    save(folder / "plain" / "misnamed.jpg", noise(32, 32), format="PNG")
    save(folder / "cmyk.jpg", Image.fromarray(noise(32, 32)).convert("CMYK"))
    save(folder / "turned.jpg", noise(32, 32), exif=turned)
    save(folder / "turned.png", noise(32, 32), exif=turned)
    save(folder / "deep.png", noise(32, 32)[..., 0].astype(np.uint16) * 257)
    save(folder / "alpha.png", np.dstack([noise(32, 32), noise(32, 32)[..., 0]]))
    save(folder / "palette.png", Image.fromarray(noise(32, 32)).quantize(32))
    save(folder / "a.webp", noise(32, 32))
    save(folder / "a.bmp", noise(32, 32))
    png_with_wrong_checksum(folder / "checksum.png")
    save(folder / os.fsdecode(b"not utf-8 \xff.bmp"), noise(32, 32))
    return scan(folder)


def test_plain_pictures_are_known(motley):
    assert not motley.bad
    for path, plain in zip(motley.paths, motley.plain, strict=True):
        assert plain == (Path(path).parent.name == "plain"), path


@pytest.mark.parametrize("only_plain", [False, True])
def test_every_picture_is_decoded_as_by_pillow(motley, only_plain):
    if only_plain:
        motley = scan(Path(motley.paths[motley.plain.index(True)]).parent)
        assert all(motley.plain)
    count = len(motley.paths)
    expected = np.stack([reading.read_image(path) for path in motley.paths])
    # The crop is the whole picture.
    content, style, _ = batches(
        motley, motley, range(1), batch_size=count, resize_size=32, crop_size=32
    )[0]
    for found in (content, style):
        apart = np.abs(found[:, None] - expected).max((2, 3, 4))
        assert sorted(apart.argmin(1)) == list(range(count))
        assert apart.min(1).max() <= 2 / 255


# -- scanning --------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Forty pictures of sixteen pixels, in nested folders."""
    for i in range(40):
        name = f"{i:02}.png" if i < 20 else f"sub/{i % 3}/{i:02}.png"
        save(tmp_path / "pictures" / name, np.full((4, 4, 3), i, np.uint8))
    return tmp_path / "pictures"


def garble(path):
    """Makes a file unreadable, but for its size and time of change."""
    stat = path.stat()
    path.write_bytes(b"?" * stat.st_size)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_scan_finds_all_in_a_fixed_order(folder):
    found = scan(folder)
    assert found.paths == tuple(sorted(found.paths, key=Path))
    assert sorted(Path(path).name for path in found.paths) == [f"{i:02}.png" for i in range(40)]
    assert found.plain == (True,) * 40 and found.bad == ()
    assert scan(folder / "sub" / "**").paths == scan(folder / "sub").paths
    assert scan(folder / "07.png").paths == (str(folder / "07.png"),)
    (folder / "none").mkdir()
    with pytest.raises(UserError, match="none` holds no images"):
        scan(folder / "none")


def test_scan_leaves_out_bad_files(folder):
    whole = save(folder / "half.jpg", noise(64, 64)).read_bytes()
    (folder / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "sub" / "page.png").write_bytes(b"<!DOCTYPE html>404")
    found = scan(folder)
    assert len(found.paths) == 40 and not {path for path, _ in found.bad} & set(found.paths)
    reasons = dict(found.bad)
    assert list(reasons) == [str(folder / "half.jpg"), str(folder / "sub" / "page.png")]
    assert "half.jpg` is truncated or damaged" in reasons[str(folder / "half.jpg")]
    assert "looks like an HTML page" in reasons[str(folder / "sub" / "page.png")]
    # Two of forty are five in a hundred; two of thirty-nine are more.
    for i in range(2):
        (folder / f"{i:02}.png").unlink()
    assert len(scan(folder).bad) == 2
    (folder / "02.png").unlink()
    message = r"2 of 39 files under .*pictures cannot be used, more than 5%: .*half.*; .*page"
    with pytest.raises(UserError, match=message):
        scan(folder)


def test_scan_refuses_what_cannot_be_used(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"5 of 5 files .*0\.jpg` is empty.*1\..*2\.jpg.* \.\.\.$"):
        scan(tmp_path)
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"1 of 1 files .*No such file .*link\.jpg'$"):
        scan(tmp_path / "link.jpg")
    with pytest.raises(UserError, match="none` does not exist"):
        scan(tmp_path / "none")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_scan_does_not_decode_again_what_it_knows(tmp_path, suffix):
    folder, cache = tmp_path / "pictures", tmp_path / "new" / "cache.json"
    path = save(folder / f"a.{suffix}", noise(16, 16))
    before = scan(folder, cache=cache)
    garble(path)
    assert scan(folder, cache=cache) == before
    with pytest.raises(UserError, match="1 of 1 files"):
        scan(folder)
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    with pytest.raises(UserError, match="1 of 1 files"):
        scan(folder, cache=cache)
    path.write_bytes(b"?" * (stat.st_size + 1))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(UserError, match="1 of 1 files"):
        scan(folder, cache=cache)


def test_bad_files_are_tried_again(folder, tmp_path):
    content, stat = (folder / "00.png").read_bytes(), (folder / "00.png").stat()
    garble(folder / "00.png")
    cache = tmp_path / "cache.json"
    assert len(scan(folder, cache=cache).bad) == 1
    (folder / "00.png").write_bytes(content)
    os.utime(folder / "00.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert not scan(folder, cache=cache).bad


def test_cache_keeps_what_another_draw_needs(folder, tmp_path):
    cache = tmp_path / "cache.json"
    seen = [scan(folder, max_images=9, seed=seed, cache=cache) for seed in (0, 1)]
    for path in {*seen[0].paths, *seen[1].paths}:
        garble(Path(path))
    assert not scan(folder, cache=cache).bad


@pytest.mark.parametrize("end", [KeyboardInterrupt, UserError])
def test_interrupted_scan_goes_on(folder, tmp_path, end):
    cache = tmp_path / "cache.json"

    def stop(done, total):
        if done == 20:
            raise end

    with pytest.raises(end):
        scan(folder, cache=cache, on_file=stop)
    known = json.loads(cache.read_text())["good"]
    assert list(known) == [f"{i:02}.png" for i in range(20)]
    garble(folder / "07.png")
    assert not scan(folder, cache=cache).bad


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"version": 0, "good": []}', b"\xff"])
def test_strange_cache_is_made_anew(folder, tmp_path, content):
    cache = tmp_path / "cache.json"
    cache.write_bytes(content)
    found = scan(folder, cache=cache)
    assert len(found.paths) == 40
    garble(folder / "00.png")
    assert scan(folder, cache=cache) == found


def test_cache_that_cannot_be_written_is_harmless(folder):
    expected = scan(folder)
    for cache in ("/dev/null/x", "/dev/null/x/y.json", folder, os.devnull):
        assert scan(folder, cache=cache) == expected
    assert Path(os.devnull).is_char_device()


def test_cache_has_a_place_of_its_own(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = data.scan(folder)
    data.scan(folder / "sub")
    files = list((tmp_path / "cache" / "tf_style").iterdir())
    assert len(files) == 2
    garble(folder / "sub" / "2" / "20.png")
    monkeypatch.chdir(folder.parent)
    assert data.scan("pictures").digest == found.digest
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert len(data.scan(folder).bad) == 1
    assert len(list((tmp_path / "home" / ".cache" / "tf_style").iterdir())) == 1


@pytest.mark.parametrize(
    "how, name", [("cut", "0.jpg"), ("garbled", "0.jpg"), ("replaced", "0.bmp")]
)
def test_a_picture_that_changes_is_not_trained_on(tmp_path, name, how):
    file = save(tmp_path / "pictures" / name, noise(24, 40))
    save(tmp_path / "pictures/1.jpg", noise(25, 40))
    found, whole = scan(tmp_path / "pictures"), file.read_bytes()
    assert data.changes(found, thoroughly=True) == {}
    if how == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    elif how == "replaced":
        save(file, noise(24, 32))
    else:
        file.write_bytes(bytes(len(whole)))
    with pytest.raises(tf.errors.OpError, match="IteratorGetNext"):
        batches(found, found, range(2))
    assert list(data.changes(found)) == ([] if how == "garbled" else [str(file)])
    assert list(data.changes(found, thoroughly=True)) == [str(file)]
    left = found.without({str(file)})
    assert left.paths == (str(tmp_path / "pictures/1.jpg"),) * 2 and left.digest == found.digest
    with pytest.raises(UserError, match="None of 2 pictures is left"):
        left.without(set(found.paths))


def test_pairs_without_a_lost_picture_stay_what_they_were(noisy):
    content, style = noisy
    whole = batches(content, style, range(4))
    left = batches(content.without({content.paths[1]}), style, range(4))
    (photos, paintings), (others, same) = (
        [np.concatenate([batch[which] for batch in found]) for which in (0, 1)]
        for found in (whole, left)
    )
    changed = (photos != others).any((1, 2, 3))
    assert 15 // 3 <= changed.sum() <= 18 // 3
    np.testing.assert_array_equal(paintings, same)


def test_progress(folder):
    (folder / "bad.png").write_bytes(b"")
    calls = []
    scan(folder, on_file=lambda *numbers: calls.append(numbers))
    assert calls == [(i, 41) for i in range(1, 42)]


def test_max_images(folder):
    whole = scan(folder)
    some = scan(folder, max_images=10, seed=3)
    assert some == scan(folder, max_images=10, seed=3)
    assert len(some.paths) == 10
    assert [path for path in whole.paths if path in some.paths] == list(some.paths)
    assert some.paths != scan(folder, max_images=10, seed=4).paths
    assert scan(folder, max_images=40) == scan(folder, max_images=99) == whole


def test_digest_tells_other_data(folder):
    digests = [scan(folder).digest]
    (folder / "40.png").write_bytes((folder / "00.png").read_bytes())
    digests.append(scan(folder).digest)
    (folder / "40.png").rename(folder / "41.png")
    digests.append(scan(folder).digest)
    save(folder / "41.png", noise(20, 20))
    digests.append(scan(folder).digest)
    (folder / "41.png").write_bytes(b"")
    assert scan(folder).digest == digests[0]
    (folder / "41.png").unlink()
    assert scan(folder).digest == digests[0]
    (folder / "00.png").unlink()
    digests.append(scan(folder).digest)
    assert len(set(digests)) == 5


def test_digest_does_not_tell_where_the_folder_is(folder, tmp_path, monkeypatch):
    digest = scan(folder).digest
    moved = folder.rename(tmp_path / "elsewhere")
    assert scan(moved).digest == digest
    monkeypatch.chdir(moved)
    assert scan(".").digest == digest


def test_without_a_home_nothing_is_remembered(folder, tmp_path, monkeypatch):
    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert data.scan(folder) == scan(folder)
    assert not (tmp_path / "~").exists()


def test_folders_and_files_whose_names_are_not_utf_8(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photos = tmp_path / os.fsdecode(b"caf\xe9")
    save(photos / os.fsdecode(b"\xe9.png"), noise(20, 24))
    found = data.scan(photos)
    assert [Path(path).parent for path in found.paths] == [photos]
    assert data.scan(photos) == found
    assert len(list((tmp_path / "cache" / "tf_style").iterdir())) == 1
