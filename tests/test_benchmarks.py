import dataclasses
import doctest
import importlib
import json
import re
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import picture
from keras import ops

from benchmarks import measure, networks, parts, run
from tf_style.nn import adain
from tf_style.nn.vgg import layer_names

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("module", ["networks", "measure", "parts", "run"])
def test_examples(module):
    result = doctest.testmod(importlib.import_module(f"benchmarks.{module}"))
    assert not result.failed


@pytest.fixture(scope="module")
def stylizer():
    """The package's VGG19 stylizer with the benchmark's weights."""
    found = adain.AdaINStylizer("vgg19")  # Whose encoder's weights are the benchmark's too.
    weights = networks.random_weights(0)
    for name, variable in found.saved_variables().items():
        variable.assign(weights[name])
    return found


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs") / "job"
    photos, style = ROOT / "examples/content", ROOT / "examples/styles/scream.jpg"
    return measure.Job.create(folder, 32, 5, photos, style)


# -- networks --------------------------------------------------------------------------------------


def test_the_table_is_the_package_s_networks(stylizer):
    weights = networks.random_weights(0)
    stored = stylizer.saved_variables()
    assert {k: x.shape for k, x in weights.items()} == {k: v.shape for k, v in stored.items()}
    assert all(x.dtype == "float32" for x in weights.values())
    again, other = networks.random_weights(0), networks.random_weights(1)
    name = "decoder/conv4_1/kernel"
    np.testing.assert_array_equal(again[name], weights[name])
    assert (other[name] != weights[name]).any()


def test_flops_are_those_of_the_convolutions_that_run(stylizer):
    """Counted from the outputs' true shapes."""
    counted = []
    image, features = np.zeros((1, 32, 48, 3)), {"relu4_1": np.zeros((1, 4, 6, 512))}
    for model, given in ((stylizer.encoder, image), (stylizer.decoder, features)):
        layers = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
        outputs = keras.Model(model.input, [x.output for x in layers])(given)
        counted.append(
            sum(
                2 * np.prod(layer.kernel.shape) * np.prod(y.shape[1:3])
                for layer, y in zip(layers, outputs, strict=True)
            )
        )
    encoder, decoder = counted
    assert networks.flops(32, 48, encoded=1, decoded=0) == encoder
    assert networks.flops(32, 48, encoded=0, decoded=1) == decoder
    assert networks.flops(32, 48) == 2 * encoder + decoder
    # As many channels in and out, the other way round.
    assert encoder == decoder


def test_random_weights_make_a_picture(stylizer):
    given = {"content": picture(64, 64)[None], "style": picture(64, 64, 1)[None]}
    image = stylizer(given | {"alpha": np.ones(1, "float32")}).numpy()
    assert 0.05 < image.std() < 0.4
    assert np.mean((image > 0) & (image < 1)) > 0.9


# -- PyTorch ---------------------------------------------------------------------------------------


def test_pytorch_s_is_the_same_picture(stylizer):
    torch = pytest.importorskip("torch")
    from benchmarks import torch_adain

    content, style = picture(32, 48)[None], picture(40, 32, 1)[None]
    ours = stylizer({"content": content, "style": style, "alpha": np.ones(1, "float32")}).numpy()
    with torch.no_grad():
        given = (torch.from_numpy(x.transpose(0, 3, 1, 2)) for x in (content, style))
        other = torch_adain.Stylizer(networks.random_weights(0))(*given)
    other = other.clamp(0, 1).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(other, ours, atol=1e-4)


def test_pytorch_s_step_takes_as_many_flops(job):
    pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks import torch_adain

    model = torch_adain.Stylizer(job.weights())
    content, style = (torch_adain.as_tensor(x[:2]) for x in job.batches())
    with FlopCounterMode(display=False) as counter:
        torch_adain.losses(model, content, style).backward()
    # The preprocessing, a convolution of 1x1: three times forward, once backward.
    preprocessing = 4 * 2 * (2 * 3 * 3 * 32**2)
    assert counter.get_total_flops() - preprocessing == networks.training_flops(32, 2)


@pytest.mark.slow
def test_pytorch_s_losses_are_ours(job):
    pytest.importorskip("torch")
    from benchmarks import ours, torch_adain

    found = []
    for module in (ours, torch_adain):
        turns = module.training(job, *([] if module is torch_adain else ["float32"]))
        steps = []
        for _ in range(2):  # The second has Adam's update in it.
            next(turns)
            steps.append(next(turns))
        found.append(steps)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3)
    assert abs(found[0][1] / found[0][0] - 1) > 1e-3


@pytest.mark.parametrize("module", ["ours", "torch_adain", "by_numpy"])
def test_every_contender_has_a_run(module):
    if module == "torch_adain":
        pytest.importorskip("torch")
    runs = importlib.import_module(f"benchmarks.{module}").RUNS
    asked = {c.run for part in parts.PARTS.values() for c in part.contenders if c.module == module}
    assert asked == set(runs)


# -- plain_gatys -----------------------------------------------------------------------------------


def test_a_picture_for_every_evaluation_and_none_worse():
    """Of a quadratic: L-BFGS-B ends at its minimum before the limit, and the last picture stays."""
    from benchmarks.plain_gatys import best_pictures

    photo, wanted = np.random.default_rng(0).random((2, 4, 5, 3), "float32")
    # Of differing curvatures, or the first search would be exact.
    scale = np.linspace(1, 30, photo.size, dtype="float32")

    def quadratic(pixels):
        apart = pixels - wanted.ravel()
        return ops.sum(scale * apart**2), 2 * scale * apart

    images = best_pictures(quadratic, photo, 80)
    losses = [float(quadratic(image.ravel())[0]) for image in images]
    assert len(images) == 80 and images[0].shape == photo.shape
    assert losses[5] < losses[0] and max(np.diff(losses)) <= 1e-5
    np.testing.assert_allclose(images[-1], wanted, atol=1e-3)


# -- jobs and workers ------------------------------------------------------------------------------


def test_a_job_s_files(job):
    from tf_style.images.reading import probe

    assert len(job.photos) == 5 and job.warm_up_photo not in job.photos
    assert {(probe(path).height, probe(path).width) for path in job.photos} == {(32, 32)}
    contents, styles = job.batches()
    assert contents.shape == (5, 32, 32, 3) and contents.dtype == "uint8"
    np.testing.assert_array_equal(styles[1:], contents[:-1])
    # All differ, also those that are made of one photo.
    assert len({photo.tobytes() for photo in contents}) == 5
    assert job.weights().keys() == networks.random_weights(0).keys()


@pytest.mark.slow
def test_a_folder_in_turns(job):
    from benchmarks import ours
    from tf_style.images.listing import list_images
    from tf_style.images.reading import read_image

    turns = ours.folder(job, "float32")
    assert next(turns) > 0
    path, out = next(turns), job.out_folder(2)
    assert path == out / f"{job.photos[-1].stem}_stylized_01.jpg"
    written = {path.name for path in list_images(out) if path.stat().st_size}
    assert written == {
        "00_stylized_00.jpg",
        *(f"{path.stem}_stylized_01.jpg" for path in job.photos),
    }
    # Photo by photo comes to the same.
    loop = ours.photo_by_photo(job, "float32", encode_once=False)
    next(loop)
    images = [np.round(255 * read_image(file)) for file in (next(loop), path)]
    np.testing.assert_allclose(*images, atol=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", parts.PARTS)
def test_a_part_in_small(name, tmp_path):
    """Every contender runs, and all make the same."""
    pytest.importorskip("torch")
    part = parts.PARTS[name]
    contenders = tuple(dataclasses.replace(c, size=c.size // 32, count=0) for c in part.contenders)
    part = dataclasses.replace(part, size=64, count=2, contenders=contenders)
    photos, style = ROOT / "examples/content", ROOT / "examples/styles/scream.jpg"
    *_, (_, answers) = run.compare(part, tmp_path, 2, photos=photos, style=style)
    rows = run.rows_of(part, answers)
    assert len(rows) == len(part.contenders) and not any(row.fault for row in rows)
    assert {len(row.runs) for row in rows} == {2}
    run.table_of(part, rows, {"float32": 1e9, "bfloat16": 1e9})


@pytest.mark.slow
def test_a_worker_answers(job):
    with measure.Worker("ours", "product float32", job) as worker:
        first, second = worker(save=True), worker()
    assert first["seconds"] > 0 and 0 < first["peak"] <= second["peak"]
    assert np.load(worker.path).shape == ()
    assert worker.process.returncode == 0


def test_a_worker_that_cannot_says_why(job):
    with measure.Worker("networks", "pair", job) as worker:
        with pytest.raises(RuntimeError, match="(?s)networks pair ended with exit code 1.*RUNS"):
            worker()


def test_what_the_package_refuses_is_no_end(job):
    broken = dataclasses.replace(job, folder=job.folder / "none")
    with measure.Worker("ours", "pair", broken) as worker:
        assert "checkpoint" in worker()["fault"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells the peak")
def test_peak_memory():
    measure.reset_peak()
    before = measure.peak_memory()
    block = np.ones(2**26, "uint8")
    with_block = measure.peak_memory()
    assert with_block - before > 0.9 * block.nbytes
    del block
    # The kernel counts in steps.
    assert abs(measure.peak_memory() - with_block) < 2**22
    measure.reset_peak()
    assert measure.peak_memory() < with_block - 2**25


def test_turns():
    left = {"a": 2, "b": 1, "c": 2, "d": 0}

    def turn(name):
        left[name] -= 1
        return left[name]

    told = measure.interleaved(left, turn, left.get)
    assert next(told) == ("a", 1) and left["b"] == 1  # Told before the next has begun.
    assert list(told) == [("b", 0), ("c", 1), ("a", 0), ("c", 0)]


def test_a_slow_contender_has_no_more_turns_than_it_needs():
    quick, slow = {"seconds": 1}, {"seconds": 130}
    assert [run.turns_left(PART, 5, [quick] * n) for n in (0, 1, 6)] == [6, 5, 0]
    # The first does not count, where there is a warm-up.
    assert [run.turns_left(PART, 5, [slow] * n) for n in (0, 1, 2)] == [6, 5, 0]
    cold = dataclasses.replace(PART, warm_up=False, most=2)
    assert [run.turns_left(cold, 5, [slow] * n) for n in (0, 1)] == [2, 0]
    assert run.turns_left(PART, 5, [{"fault": "too large"}]) == 0


def test_the_time_left():
    """A contender takes as long as its last turn, or its FLOPs at the rate so far."""
    flops = PART.flops(OURS, 8, 2)
    answers = {OURS: [{"seconds": 9}, {"seconds": 2}]}
    others = sum(PART.flops(c, *PART.work_of(c)) for c in (OTHER, THIRD))
    expected = 2 * 2 + 4 * others / (2 * flops / 11)
    assert run.seconds_left([PART], 3, answers, passed=15) == pytest.approx(expected)
    # A part that was not begun: its turns, and the 4 seconds that this one took besides.
    other = dataclasses.replace(PART, contenders=(dataclasses.replace(OURS, run="folder"),))
    more = 4 + 4 * flops / (2 * flops / 11)
    left = run.seconds_left([PART, other], 3, answers, passed=15)
    assert left == pytest.approx(expected + more)


def test_what_was_measured_is_kept_and_told_at_ctrl_c(tmp_path, monkeypatch, capsys):
    """After the first counting turn of NumPy's product, of a part that has three products."""
    contenders = [c for c in parts.PARTS["matmul"].contenders if c.module == "by_numpy"]
    contenders += [dataclasses.replace(contenders[0], label="again", count=1)]
    part = dataclasses.replace(parts.PARTS["matmul"], size=32, contenders=tuple(contenders))
    monkeypatch.setattr(run, "PARTS", {"matmul": part})
    said = []

    class Stderr:
        def write(self, text):
            said.append(text)
            if "turn 2" in text:
                raise KeyboardInterrupt

        def flush(self):
            pass

    monkeypatch.setattr(sys, "stderr", Stderr())
    assert run.main(["--json", str(tmp_path / "found.json"), "--parts", "matmul"]) == 130
    lines = [text for text in said if text.strip()]
    line = r"matmul: NumPy, float32: [\d.e-]+ s, turn 1 of 6, (\d+m)?\d+s left"
    assert re.fullmatch(line, lines[0])
    labels = [line.split(": ")[1] for line in lines]
    assert labels == ["NumPy, float32", "again", "NumPy, float32"]
    table, found = capsys.readouterr().out, json.loads((tmp_path / "found.json").read_text())
    assert "| NumPy, float32 | " in table and "| again |" not in table and "stopped;" in table
    assert [row["label"] for row in found["rows"]] == ["NumPy, float32"]
    assert len(found["rows"][0]["runs"]) == 1 and found["peaks"]["float32"] > 0


def test_what_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(run, "OPTIONAL", {"torch_adain": "no_such_library"})
    assert run.installed(PART).contenders == (OURS, THIRD)


# -- the table -------------------------------------------------------------------------------------

PART = parts.Part(
    "Of {count} x {size} px", 8, 2,
    (
        parts.Contender("ours", "ours", "pair"),
        parts.Contender("other", "torch_adain", "pair", "float32", bars=(parts.slower(2.5),)),
        parts.Contender("{count} of {size}", "ours", "large", size=32, count=1),
    ),
    parts.flops_of_photos,
)  # fmt: skip
OURS, OTHER, THIRD = PART.contenders


def answers_of(*times, peak=10**7):
    return [{"seconds": time, "peak": peak + k} for k, time in enumerate(times)]


@pytest.fixture
def rows():
    answers = {
        OURS: answers_of(100, 1, 4, 2),
        OTHER: answers_of(9, 6, 5, 3, peak=5 * 10**6),
        THIRD: answers_of(9, 16, 16, 16),
    }
    return run.rows_of(PART, answers)


def test_rows_have_medians_and_ratios(rows):
    ours, other, third = rows
    assert ours.runs == (1, 4, 2) and (ours.seconds, other.seconds) == (2, 5)
    assert (ours.time, other.time, third.time) == (1, 2.5, 8)
    assert ours.peak == 10**7 + 3 and other.memory == pytest.approx(0.5, rel=1e-5)
    assert ours.flops == networks.flops(8, 8, encoded=3, decoded=2)
    assert (third.label, third.pixels) == ("1 of 32", 1024)


def test_rows_of_times_a_pixel_at_their_best():
    part = dataclasses.replace(PART, per_pixel=True, warm_up=False, typical=min)
    answers = {OURS: answers_of(2, 1), OTHER: answers_of(1), THIRD: answers_of(16, 32)}
    ours, _, third = run.rows_of(part, answers)
    assert ours.seconds == 1 and third.seconds == 16
    assert third.time == 16 / (1024 / 128)


def test_a_fault_is_a_row(rows):
    answers = {
        OURS: [{"fault": "it takes 74 GB."}],
        OTHER: answers_of(2, 2),
        THIRD: answers_of(2, 2),
    }
    rows = run.rows_of(PART, answers)
    table = run.table_of(PART, rows, {"float32": 1e9, "bfloat16": 1e9})
    assert "| ours | it takes 74 GB. | | | | |  |" in table
    # What it would be a ratio to is not there.
    assert "time nan, at least 2.5 ✗" in table
    records = run.records_of("pair", PART, rows, {"float32": 1e9, "bfloat16": 1e9})
    assert records[0]["seconds"] is None and records[1]["bars"][0]["met"] is False
    json.loads(json.dumps(records, allow_nan=False))


def test_the_table(rows):
    rate = rows[1].flops / rows[1].seconds
    table = run.table_of(PART, rows, {"float32": 2 * rate, "bfloat16": 1e9})
    title, ours, other, third = table.splitlines()
    assert title == "| **Of 2 x 8 px** | | | | | | |"
    assert ours.startswith("| ours | 2 | 1.00 | 10 | 1.00 | ")
    assert other == "| other | 5 | 2.50 | 5 | 0.50 | 50% | time 2.5, at least 2.5 ✓ |"
    columns = {line.count("|") for line in (*run.HEAD.splitlines(), title, ours, other, third)}
    assert columns == {8}
    assert "✓" not in run.table_of(PART, rows, {"float32": 1e9, "bfloat16": 1e9}, bars=False)


def test_bars():
    least = parts.slower(2.8)
    row = parts.Row("x", 8, "float32")
    for time, met in ((2.8, True), (2.79, False), (float("nan"), False)):
        assert least.met(dataclasses.replace(row, time=time), []) is met
    most = dataclasses.replace(least, at_least=False)
    for time, met in ((2.8, True), (2.81, False), (float("nan"), False)):
        assert most.met(dataclasses.replace(row, time=time), []) is met


def test_growth_of_large_photos():
    small, large = (parts.Row("", side, "bfloat16", peak=10**9) for side in (2048, 8192))
    assert parts.growth(large, [small, large]) == 0
    more = 5 * (8192**2 - 2048**2)
    grown = dataclasses.replace(large, peak=10**9 + 200 * 10**6 + more)
    assert parts.growth(grown, [small, grown]) == 5


def test_the_peak_is_the_best_of_its_kind():
    rows = [
        parts.Row("", 8, dtype, seconds=seconds, flops=8)
        for dtype, seconds in (("float32", 4), ("float32", 2), ("bfloat16", 1))
    ]
    assert run.peaks_of(rows) == {"float32": 4, "bfloat16": 8}


@pytest.mark.parametrize(
    ("name", "changed", "fault"),
    [
        ("ours", 2, None),
        ("ours", 3, "ours is 3 off, more than 2"),
        ("other", 1, "ours is 3"),  # The port's float32 is what others are held against.
    ],
)
def test_all_must_make_the_same(name, changed, fault):
    part = dataclasses.replace(PART, contenders=(dataclasses.replace(OURS, dtype="float32"), OTHER))
    pixels = np.full((4, 4, 3), 100, "uint8")
    results = dict.fromkeys(part.contenders, pixels)
    changed_one = next(c for c in results if c.label == name)
    results[changed_one] = pixels + np.uint8(changed)
    if name == "other":
        results[part.contenders[0]] = pixels - np.uint8(2)
    if fault is None:
        run.check_same(part, results)
    else:
        with pytest.raises(RuntimeError, match=fault):
            run.check_same(part, results)


def test_losses_are_compared_in_percent():
    results = {OURS: np.float64(1.01), OTHER: np.float64(1.0), THIRD: np.zeros((2, 2, 3), "uint8")}
    run.check_same(PART, results)
    with pytest.raises(RuntimeError, match="ours is 3 off"):
        run.check_same(PART, results | {OURS: np.float64(1.03)})
    with pytest.raises(RuntimeError, match="nan"):
        run.check_same(PART, results | {OURS: np.float64(np.nan)})


def test_small_parts_are_a_quarter():
    for part in parts.PARTS.values():
        less = parts.smaller(part)
        assert less.size == part.size // 4 >= 64
        assert less.count in (part.count // 4, 1, 0) and len(less.contenders) == len(
            part.contenders
        )
    large = parts.smaller(parts.PARTS["large"])
    assert [c.size for c in large.contenders] == [0, 512, 2048, 512]


def test_the_bars_are_those_that_were_set():
    found = {
        (name, bar.name.split()[0], bar.limit, bar.at_least)
        for name, part in parts.PARTS.items()
        for c in part.contenders
        for bar in c.bars
    }
    assert found == {
        ("pair", "time", 2.8, True),
        ("pair", "time", 1.25, True),
        ("pair", "memory", 1.0, True),
        ("photos", "time", 4.2, True),
        ("training", "time", 2.7, True),
        ("large", "time", 1.35, False),
        ("large", "bytes", 6.0, False),
    }


def test_the_help_names_all_parts():
    for name in parts.PARTS:
        assert re.search(rf"^{name} ", run.__doc__, re.MULTILINE)


def test_layers_of_the_encoder_end_at_relu4_1():
    names = [
        f"relu{c.name.removeprefix('encoder/block').replace('conv', '')}" for c in networks.ENCODER
    ]
    assert names == layer_names("vgg19")[: layer_names("vgg19").index("relu4_1") + 1]
