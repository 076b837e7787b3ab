import ast
import configparser
import dataclasses
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import warnings

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, environment, picture
from PIL import Image

import tf_style
from tf_style.cli import app, evaluate, stylize, train
from tf_style.cli import conditional as conditional_cli
from tf_style.errors import NonFiniteError, UserError, WorkerLostError
from tf_style.images.reading import read_image
from tf_style.images.writing import write_image
from tf_style.inference.config import StylizeConfig
from tf_style.training.config import ConditionalConfig, PredictedConfig, TrainConfig

DOORS = {"stylize.py": (stylize, StylizeConfig), "train.py": (train, TrainConfig)}


@pytest.fixture
def call(capsys):
    """Runs a main in this process: its exit code, and the lines of stderr; stdout stays empty."""

    def call(main, *words):
        code = main([f"/somewhere/{main.__module__.split('.')[-1]}.py", *map(str, words)])
        out, err = capsys.readouterr()
        assert out == ""
        return code, err.splitlines()

    return call


def paths(folders, model, **changes):
    """The flags of a small run."""
    values = {"content": folders / "content", "style": folders / "style", "out": folders / "out"}
    words = [f"--{name}-path={changes.pop(name, path)}" for name, path in values.items()]
    options = {"checkpoint": model, "style-size": 32, "precision": "float32"} | changes
    return words + [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# -- stylize.py ------------------------------------------------------------------------------------


def test_all_done(call, folders, tiny):
    code, lines = call(stylize.main, *paths(folders, tiny))
    assert code == 0
    assert names(folders / "out") == [f"{c}_stylized_{s}.jpg" for c in "ab" for s in "st"]
    assert re.fullmatch(r"(CPU with \d+ threads|\d GPUs?), float32", lines[0])
    assert re.fullmatch(r"the largest picture, .* will take about \d\.\d GB of memory", lines[1])
    for i, line in enumerate(lines[2:6], 1):
        assert re.fullmatch(rf"{i}/4 {folders}/out/\w+\.jpg \d+\.\d s, \d+s left", line)
    assert lines[6:] == [f"4 written to {folders}/out"]


def test_a_blend_says_its_shares(call, folders, tiny):
    code, lines = call(stylize.main, *paths(folders, tiny, style_weights="1,3", concat="true"))
    assert code == 0 and "the style is 25% s.png, 75% t.png" in lines
    assert names(folders / "out") == ["a_stylized_blend.jpg", "b_stylized_blend.jpg"]


def test_some_failed(call, folders, tiny):
    # What looks like markup in a name is none.
    (folders / "content/a.png").rename(folders / "content/a[bold]:smile:.png")
    (folders / "style/s.png").write_bytes(b"")
    (folders / "content/b.png").write_bytes(b"some words")
    code, lines = call(stylize.main, *paths(folders, tiny))
    assert code == 1
    assert names(folders / "out") == ["a[bold]:smile:_stylized_t.jpg"]
    # Each is named once, whole, although it failed with several others.
    faults = [line for line in lines if "`" in line]
    assert len(faults) == 2
    assert faults[0].startswith(f"`{folders}/style/s.png` is empty")
    assert faults[1].startswith(f"`{folders}/content/b.png` is not an image")
    assert any(f"2/4 {folders}/out/a[bold]:smile:_stylized_t.jpg" in line for line in lines)
    assert lines[-1] == f"1 written to {folders}/out, 3 failed because of s.png, b.png"


def test_all_failed(call, folders, tiny):
    for name in ("a", "b"):
        (folders / f"content/{name}.png").write_bytes(b"")
    code, lines = call(stylize.main, *paths(folders, tiny))
    assert code == 2
    assert lines[-1] == f"0 written to {folders}/out, 4 failed because of a.png, b.png"
    assert not (folders / "out").exists()


def test_nothing_can_be_read(call, folders, tiny):
    (folders / "content/a.png").write_bytes(b"")
    (folders / "style/s.png").write_bytes(b"")
    one = {"content": folders / "content/a.png", "style": folders / "style/s.png"}
    code, lines = call(stylize.main, *paths(folders, tiny, **one))
    assert code == 2 and len(lines) == 3 and "a.png` is empty" in lines[1]


def test_skipped_are_no_failures(call, folders, tiny):
    assert call(stylize.main, *paths(folders, tiny))[0] == 0
    (folders / "content/c.png").write_bytes(b"")
    code, lines = call(stylize.main, *paths(folders, tiny), "--skip-existing")
    assert code == 1
    assert lines[1] == "4 of 6 results skipped: already there"
    (folders / "content/c.png").unlink()
    code, lines = call(stylize.main, *paths(folders, tiny), "--skip-existing")
    assert code == 0 and lines[-1] == f"0 written to {folders}/out"


@pytest.mark.parametrize("kernel, sentence", [(np.zeros_like, "The network gave one flat colour")])
def test_non_finite(call, folders, damaged, kernel, sentence):
    checkpoint = damaged(arrays={"decoder/conv1_1/kernel": kernel})
    code, lines = call(stylize.main, *paths(folders, checkpoint))
    assert code == 3
    assert f"a_stylized_s.jpg: {sentence}" in " ".join(lines)
    assert lines[-1].startswith(f"0 written to {folders}/out, 4 failed because of a_stylized_s.jpg")
    assert not (folders / "out").exists()


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"content": "none.jpg"}, "--content-path: `none.jpg` does not exist"),
        ({"style": "none*"}, r"--style-path: `none\*` holds no images. Accepted suffixes: bmp,"),
        ({"out": __file__}, f"`{__file__}` is not a folder"),
        ({"checkpoint": "none"}, "There is no checkpoint folder 'none'"),
        ({"checkpoint": ROOT}, "is no checkpoint: it has no config.json; train.py makes one"),
        ({"out_format": "gif"}, "`out_format` must be one of jpg, png, webp. Received: 'gif'"),
        ({"quality": 101}, "`quality` must be between 1 and 100. Received: 101"),
        ({"alpha": 1.3}, "`alpha` must be between 0 and 1. Received: 1.3"),
        ({"alpha": "much"}, "flag --alpha=much: could not convert string to float"),
        ({"max_pixels": 0}, "`max_pixels` must be 1 or more. Received: 0"),
        ({"content_size": -1}, "`content_size` must be 0 or more. Received: -1"),
        ({"style_weights": "1,2,3"}, "one number for each of 2 styles. Received: 3"),
        ({"style_weights": "0,0"}, "`style_weights` are all zero"),
        ({"preserve_color": "hue"}, "`preserve_color` must be one of none, luma, match"),
        ({"precision": "float16"}, "`precision` must be one of auto, float32, bfloat16"),
        ({"contnet_size": 3}, r"no flag --contnet-size; did you mean --content-size\? See --help"),
        (
            {"content_size": 10**9, "content": "huge"},
            "in tiles of 128 px would take about .* GB of memory, and .* fits",
        ),
    ],
    ids=lambda x: ",".join(x) if isinstance(x, dict) else "",
)
def test_mistakes(call, folders, tiny, changes, sentence, monkeypatch):
    if changes.get("content") == "huge":
        Image.new("1", (12_000, 12_000)).save(folders / "content/huge.png")
        changes = changes | {"content": folders / "content/huge.png"}
        monkeypatch.setattr("tf_style.memory.available_memory", lambda: 10**9)
    code, lines = call(stylize.main, *paths(folders, tiny, **changes))
    assert code == 2
    assert len(lines) == 1 and lines[0].startswith("stylize.py: ")
    assert re.search(sentence, lines[0]), lines[0]
    assert not (folders / "out").exists()


def test_nothing_is_overwritten(call, folders, tiny):
    (folders / "out").mkdir()
    (folders / "out/b_stylized_t.jpg").write_bytes(b"mine")
    code, lines = call(stylize.main, *paths(folders, tiny))
    assert code == 2 and len(lines) == 1 and "give --overwrite, --skip-existing or" in lines[0]
    assert names(folders / "out") == ["b_stylized_t.jpg"]
    assert call(stylize.main, *paths(folders, tiny), "--overwrite")[0] == 0
    assert read_image(folders / "out/b_stylized_t.jpg").shape == (40, 31, 3)


# -- train.py --------------------------------------------------------------------------------------

SMALL = """--encoder=vgg16 --content-layer=relu2_1 --style-layers=relu1_1,relu2_1 --crop-size=16
 --resize-size=24 --batch-size=1 --save-iter=2 --log-iter=1 --preview-iter=0""".split()


def folders_to_train(folders):
    return [f"--content-path={folders / 'content'}", f"--style-path={folders / 'style'}"]


def test_train_then_stylize_in_one_process(call, folders, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folders / "cache"))
    words = [*folders_to_train(folders), f"--checkpoint={folders / 'ckpt'}", *SMALL]
    code, lines = call(train.main, *words, "--max-iter=2")
    assert code == 0
    assert "CPU with" in " ".join(lines) or "GPU" in " ".join(lines)
    assert "content: 2 pictures, 0 left out" in lines
    assert re.fullmatch(
        r"2/2 steps, content [\d.e+]+ style [\d.e+]+ total [\d.e+]+ "
        r"\| [\d.]+ pairs/s, input \d+%, 0s left",
        lines[-2],
    )
    assert lines[-1] == f"done; try it by stylize.py --checkpoint {folders / 'ckpt'}"
    code, lines = call(stylize.main, *paths(folders, folders / "ckpt"))
    assert code == 0 and len(names(folders / "out")) == 4
    # The same command again resumes; another is refused, for it would be another run.
    code, lines = call(train.main, *words, "--max-iter=2")
    assert code == 0 and "resumed at step 2" in lines
    code, lines = call(train.main, *words, "--max-iter=2", "--style-weight=3")
    assert code == 2 and len([line for line in lines if line.startswith("train.py: ")]) == 1
    assert "style_weight" in lines[-1]


@pytest.mark.slow
def test_what_a_training_ends_with_is_a_command_that_works(call, folders):
    code, lines = call(
        train.main, "--method=conditional", "--encoder=vgg16", "--contract=4,5,6", "--blocks=1",
        "--expand=4,3", "--content-layers=relu2_1", "--style-layers=relu1_1", "--crop-size=32",
        "--resize-size=36", "--style-size=40", "--batch-size=1", "--max-iter=1",
        f"--content-path={folders / 'content'}", f"--style-path={folders / 'style'}",
        f"--checkpoint={folders / 'table'}",
    )  # fmt: skip
    assert code == 0
    told = lines[-1].partition("stylize.py ")[2].split()
    where = f"--content-path={folders / 'content'}", f"--out-path={folders / 'out'}"
    code, lines = call(stylize.main, *told, *where)
    assert code == 0, lines


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--content-path="], "`content_path` is needed: a folder of pictures to train on"),
        (["--style-path=none"], "`none` does not exist"),
        (["--crop-size=99"], "`crop_size` must be at most `resize_size`. Received: crop_size=99"),
        (["--max-iter=0"], "`max_iter` must be 1 or more. Received: 0"),
        (["--max-iter=many"], "flag --max-iter=many: invalid literal for int"),
        (["--learning-rate=nan"], "`learning_rate` must be 0 or more. Received: nan"),
        (["--lr-schedule=step"], "`lr_schedule` must be one of inverse, cosine. Received: 'step'"),
        (["--content-layer=relu9_1"], "vgg16 has the layers relu1_1, .*. Received: relu9_1"),
        (["--style-layers=relu4_1"], "`style_layers` must not lie behind `content_layer`"),
        (["--encoder=vgg19", "--encoder-weights=packaged"], "Only VGG16's weights are packaged"),
        (["--encoder-weights=none.h5"], "There is no encoder weight file 'none.h5'"),
        ([f"--encoder-weights={__file__}"], r"test_programs.py is neither HDF5 nor \.npz"),
        (["--encoder-sha256=00"], "is not the expected weight file: its SHA-256 is"),
        (["--val-content-path=a"], "are given together or not"),
        (["--batchsize=3"], r"no flag --batchsize; did you mean --batch-size\?"),
        ([f"--checkpoint={__file__}"], re.escape(__file__)),
        (["--checkpoint={folders}"], "exists and is no run that could be resumed"),
    ],
    ids=lambda x: x[-1].split("=")[0] if isinstance(x, list) else "",
)
def test_training_mistakes(call, folders, words, sentence, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folders / "cache"))
    words = [word.format(folders=folders) for word in words]
    small = [*folders_to_train(folders), f"--checkpoint={folders / 'ckpt'}", *SMALL]
    flags = dict(word.split("=", 1) for word in [*small, "--max-iter=1", *words])  # Once each.
    code, lines = call(train.main, *map("=".join, flags.items()))
    assert code == 2
    told = [line for line in lines if line.startswith("train.py: ")]
    assert len(told) == 1 and told[0] == lines[-1]
    assert re.search(sentence, told[0]), told[0]
    assert not (folders / "ckpt").exists()


# -- what both share -------------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("word", ["--help", "-h", "-help", "--helpfull"])
def test_help(door, word, capsys):
    module, config = DOORS[door]
    assert module.main([door, "--seed=1", word]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for field in dataclasses.fields(config):
        assert f"\n  --{field.name.replace('_', '-')}" in out
    assert "Exit codes: 0 " in " ".join(out.split())
    for code in (app.USER_ERROR, app.NON_FINITE, app.NO_MEMORY, 130, 143):
        assert re.search(rf"\b{code}\b", module.__doc__)
    assert f"python {door} " in out


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (stylize.main, []),
        (stylize.main, ["--method=gatys"]),
        (stylize.main, ["--export-path=x"]),
        (train.main, []),
        (train.main, ["--method=conditional"]),
        (train.main, ["--method=predicted"]),
        (evaluate.main, []),
    ],
)
def test_version(main, words, capsys):
    assert main(["x.py", *words, "--version"]) == 0
    assert capsys.readouterr() == (f"tf_style {tf_style.__version__}\n", "")


def test_help_shows_the_values_of_a_preset(capsys):
    words = ["x.py", "--method=gatys", "--help"]
    assert stylize.main(words) == 0
    plain = capsys.readouterr().out
    assert "--init  (default: empty)" in plain and "--preset  (default: default)" in plain
    assert stylize.main([*words, "--preset=notebook"]) == 0
    shown = capsys.readouterr().out
    for line in ("--init  (default: content)", "--history  (default: 100)",
                 "--preset  (default: notebook)", "--max-evaluations  (default: 500)"):  # fmt: skip
        assert line in shown


def test_a_full_disk_is_no_lack_of_memory(call):
    def main(argv):
        return app.run(StylizeConfig, lambda c: tf.io.write_file("/dev/full", "x"), "", argv)

    code, lines = call(main)
    assert code == 2 and len(lines) == 1
    assert re.search("/dev/full: No space left on device$", lines[0])


@pytest.mark.parametrize(
    "error, code, sentence",
    [
        (UserError("do this"), 2, "do this"),
        (NonFiniteError("it is NaN"), 3, "it is NaN"),
        (WorkerLostError("start it again"), 5, "start it again"),
        (MemoryError(), 4, "out of memory; use smaller pictures or batches"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM"), 4, "out of memory; use smaller"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device", "ckpt/a"), 2, "ckpt/a: No space left on device"),
        (OSError("odd"), 2, "odd"),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, BaseException) else "",
)
def test_faults_become_a_sentence_and_a_code(capsys, error, code, sentence):
    def main(config):
        raise error

    assert app.run(StylizeConfig, main, "", ["/a/b.py"]) == code
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"b.py: {sentence}") and err.count("\n") == 1


def test_our_own_mistakes_keep_their_traceback():
    def main(config):
        return [][0]

    with pytest.raises(IndexError):
        app.run(StylizeConfig, main, "", ["b.py"])


def test_warnings_are_sentences(capsys):
    def main(config):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            for name in ("a.gif", "a.gif", "b.gif"):  # Each is said once.
                warnings.warn(f"`{name}` has several frames", stacklevel=1)
        return 0

    before = warnings.showwarning
    assert app.run(StylizeConfig, main, "", ["b.py"]) == 0
    said = [f"b.py: `{name}.gif` has several frames\n" for name in "ab"]
    assert capsys.readouterr().err == "".join(said)
    assert warnings.showwarning is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupt(number, capfd):
    before = signal.getsignal(number)
    with app.Interrupt("this step") as interrupt:
        assert not interrupt()
        os.kill(os.getpid(), number)
        assert interrupt() and interrupt.signal == number
        assert capfd.readouterr().err == "stopping after this step; once more stops at once\n"
        os.kill(os.getpid(), signal.SIGHUP)  # A terminal that closes sends several.
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM if number == signal.SIGHUP else number)
            signal.sigtimedwait([], 5)
    assert interrupt.signal == number
    assert signal.getsignal(number) is before


def test_interrupt_leaves_nohup_its_way():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with app.Interrupt("this step") as interrupt:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupt()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_interrupt_when_the_reader_has_had_it_too(dead_pipe):
    kept = os.dup(2)
    os.dup2(dead_pipe.fileno(), 2)
    try:
        with app.Interrupt("this step") as interrupt:
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupt()
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def test_interrupt_in_another_thread_leaves_the_signals_alone():
    before, answers = signal.getsignal(signal.SIGINT), []

    def work():
        with app.Interrupt("this step") as interrupt:
            answers.append((interrupt(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [(False, before)]


def test_machine():
    assert re.fullmatch(r"(CPU with \d+ threads|\d+ GPUs?), bfloat16", app.machine("bfloat16"))
    assert app.machine("auto") in (app.machine("float32"), app.machine("bfloat16"))


@pytest.mark.parametrize("door", DOORS)
def test_doors_are_doors(door):
    tree = ast.parse((ROOT / door).read_text())
    assert len(tree.body) <= 5
    assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in ast.walk(tree))


def test_console_scripts_resolve(capsys):
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    scripts = config["options.entry_points"]["console_scripts"].split("\n")
    found = dict(re.split(r"\s*=\s*", line) for line in scripts if line)
    assert sorted(found) == ["tf-style", "tf-style-stylize", "tf-style-train"]
    for name, target in found.items():
        module, function = target.split(":")
        assert getattr(importlib.import_module(module), function)([name, "--help"]) == 0
    assert "Exit codes" in capsys.readouterr().out


# -- readers that are gone -------------------------------------------------------------------------


@pytest.fixture
def dead_pipe():
    """A stream whose reader is gone, with something in its buffer at the end."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stream:
        yield stream
        stream.flush()  # As the interpreter does, where a fault would be the exit code.


@pytest.fixture
def full_disk():
    with open("/dev/full", "w") as stream:
        yield stream
        stream.flush()


@pytest.mark.parametrize("name", ["dead_pipe", "full_disk"])
def test_the_work_goes_on_when_nobody_reads(name, request, monkeypatch, folders, tiny):
    stream = request.getfixturevalue(name)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", stream)
    assert stylize.main(["stylize.py", *paths(folders, tiny)]) == 0
    assert len(names(folders / "out")) == 4
    assert stylize.main(["stylize.py", *paths(folders, tiny)]) == app.USER_ERROR
    assert stylize.main(["stylize.py", "--help"]) == 0
    assert stylize.main(["stylize.py", "--method=none"]) == app.USER_ERROR
    assert sys.stderr is stream and sys.stdout is stream


def test_closed_streams_are_given_to_no_file(tmp_path):
    code = (
        "import sys; from tf_style.cli import app\n"
        "from tf_style.inference.config import StylizeConfig\n"
        "def main(config):\n"
        "    with open(sys.argv[1], 'w') as file, app.progress_bar() as bar:\n"
        "        app.say(bar, 'told')\n"
        "        app.os.write(2, b'told'); app.os.write(1, b'told'); app._say('x', 'told', 0)\n"
        "        file.write('result')\n"
        "    return 7\n"
        "run = lambda argv: app.run(StylizeConfig, main, '', ['x'])\n"
        "raise SystemExit(app.by_method(['x'], {'adain': run}))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "result")]
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    assert subprocess.run(shell, cwd=ROOT, env=environment(), timeout=180).returncode == 7
    assert (tmp_path / "result").read_text() == "result"


@pytest.mark.parametrize("module", [stylize, train, evaluate])
def test_no_arguments(call, module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, lines = call(module.main)
    assert code == 2
    needed = r"`content_path` is needed|--content-path is not given: `images/inputs` does not exist"
    assert re.search(needed, lines[-1])


def test_warnings_that_are_made_errors_are_sentences_too(capsys):
    def main(config):
        warnings.warn("`a.gif` has several frames", stacklevel=1)  # An error here, as by -W error.

    assert app.run(StylizeConfig, main, "", ["b.py"]) == 2
    assert capsys.readouterr().err == "b.py: `a.gif` has several frames\n"


def test_no_folder_for_temporary_files(monkeypatch, tmp_path, capfd):
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")  # So that it is put back.
        patch.delenv("TF_CPP_MIN_LOG_LEVEL")
        app.import_tensorflow()
    assert capfd.readouterr() == ("", "")


# -- in a process of their own ---------------------------------------------------------------------


@pytest.mark.slow
def test_a_quiet_run(run, folders, tiny):
    """No greeting of TensorFlow's, no wrapped line, no source line with a warning."""
    long = folders / "a-folder-whose-name-makes-every-line-longer-than-eighty-columns"
    frames = [Image.new("RGB", (20, 24), color) for color in ("red", "blue")]
    frames[0].paste((0, 255, 0), (0, 0, 9, 9))
    frames[0].save(folders / "content/a.gif", save_all=True, append_images=frames[1:])
    done = run("stylize.py", *paths(folders, tiny, out=long, content=folders / "content/a.gif"))
    assert (done.returncode, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    expected = [
        r"(CPU with \d+ threads|\d GPUs?), float32",
        r"the largest picture, .* will take about .* GB of memory",
        r"stylize\.py: `.*/a\.gif` has several frames.*",
        rf"1/2 {long}/a_stylized_s\.jpg .*s left",
        rf"2/2 {long}/a_stylized_t\.jpg .*0s left",
        rf"2 written to {long}",
    ]
    assert len(lines) == len(expected), done.stderr
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line)


@pytest.mark.slow
def test_ctrl_c_ends_after_the_current_picture(folders, tiny):
    write_image(folders / "content/a.png", picture(400, 600), overwrite=True)
    for seed in range(30):
        write_image(folders / f"style/{seed}.png", picture(20, 20, seed))
    command = [sys.executable, "stylize.py", *paths(folders, tiny, out_format="png")]
    options = {"cwd": ROOT, "env": environment(), "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **options) as process:
        for line in process.stderr:
            if line.startswith("3/64 "):
                process.send_signal(signal.SIGINT)
                break
        lines = process.stderr.read().splitlines()
    assert process.returncode == 130
    assert lines.count("stopping after this picture; once more stops at once") == 1
    assert lines[-2] == "stopped; the same command with --skip-existing does the rest"
    written = names(folders / "out")
    assert lines[-1] == f"{len(written)} written to {folders}/out"
    assert 3 <= len(written) < 64
    for name in written:  # No temporary file, and none that is half a picture.
        assert read_image(folders / "out" / name).shape == (400, 600, 3)


def test_vgg19_that_cannot_be_had(run, folders):
    nowhere = {"KERAS_HOME": str(folders / "keras"), "XDG_CACHE_HOME": str(folders / "cache")}
    # As without a network, wherever this test runs.
    nowhere |= dict.fromkeys(("https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    words = [*folders_to_train(folders), f"--checkpoint={folders / 'ckpt'}"]
    done = run("train.py", *words, env=nowhere)
    assert done.returncode == 2
    told = [line for line in done.stderr.splitlines() if line.startswith("train.py: ")]
    assert len(told) == 1 and "Traceback" not in done.stderr
    assert "VGG19" in told[0] and "--encoder vgg16" in told[0] and "--encoder-weights" in told[0]
    assert not (folders / "ckpt").exists()


SCRIPT = "import sys; from tf_style.cli.{} import main; sys.exit(main(['{}', *sys.argv[1:]]))"


@pytest.mark.parametrize(
    "words, name",
    [
        (["stylize.py"], "stylize.py"),
        (["train.py"], "train.py"),
        (["-m", "tf_style.evaluate"], "evaluate.py"),
        (["-c", SCRIPT.format("stylize", "tf-style-stylize")], "tf-style-stylize"),
        (["-c", SCRIPT.format("train", "tf-style-train")], "tf-style-train"),
    ],
)
def test_another_backend(run, words, name):
    paths = ("--content-path=examples/content", "--style-path=examples/styles")
    done = run(*words, *paths, env={"KERAS_BACKEND": "jax"})
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"{name}: tf_style needs Keras' TensorFlow backend; .*\n", done.stderr)


NOBODY = """
import os, pwd
def getpwuid(uid):
    raise KeyError(uid)
pwd.getpwuid = getpwuid
os.environ.pop("HOME", None)
import tf_style
tf_style.check_backend()
"""


@pytest.mark.parametrize(
    "words",
    [
        ["-OO", "stylize.py"],
        ["-OO", "train.py", "--method=conditional"],
        ["-c", NOBODY + SCRIPT.format("stylize", "x")],
    ],
    ids=["no docstrings", "no docstrings, by method", "no home"],
)
def test_help_wherever_it_is_asked_for(run, words):
    done = run(*words, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "  --content-path  (default: " in done.stdout


@pytest.mark.parametrize("door", DOORS)
def test_help_and_bad_flags_need_no_tensorflow(run, door):
    code = (
        f"import sys; from tf_style.cli.{door[:-3]} import main\n"
        "print(main(['x', '--help']), main(['x', '--bogus']), 'tensorflow' in sys.modules)"
    )
    done = run("-c", code)
    assert done.stdout.endswith("0 2 False\n")
    assert done.stderr == "x: There is no flag --bogus; see --help.\n"


NO_TENSORFLOW = """
import sys
from tf_style.cli import evaluate
from tf_style.cli import stylize, train

programs = {"stylize.py": stylize.main, "train.py": train.main, "evaluate.py": evaluate.main}
for line in sys.stdin.read().splitlines():
    print(line, flush=True)
    program, *words = line.split()
    code = programs[program]([program, *words])
    print(code, "tensorflow" in sys.modules, flush=True)
"""


def test_what_is_wrong_with_names_is_told_without_tensorflow(folders):
    """Nobody waits for seconds to read that a file is not there."""
    (folders / "out").mkdir()
    write_image(folders / "out/a_stylized_s.jpg", picture(16, 16))
    (folders / "a.bin").touch()
    given = f"--content-path={folders}/content --style-path={folders}/style"
    out = f"--out-path={folders}/out"
    faults = {
        f"stylize.py --content-path=none {out}": "--content-path: `none` does not exist",
        f"stylize.py --content-path={folders}/content --style-path=none": "--style-path: `none` do",
        f"stylize.py {given} {out}": "Results exist already: 1 of 4",
        f"stylize.py {given} --out-path=r.gif": "`out_path` r.gif is one file, but 4",
        f"stylize.py {given} --checkpoint=none": "There is no checkpoint folder 'none'",
        f"stylize.py {given} --style=wave": "There is no style 'wave'; known are s, t",
        f"stylize.py {given} --style-weights=1,2,3": "one number for each of 2 styles",
        f"stylize.py --method=gatys {given} {out}": "Results exist already: 1 of 4",
        f"stylize.py --method=gatys {given} --init=none.png": "`none.png` does not exist",
        f"stylize.py --method=gatys {given} --content-mask=a --style-mask=b": "`style_mask` is of",
        f"stylize.py --method=gatys {given} --encoder-weights=a.h5": "no encoder weight file",
        f"stylize.py --method=gatys {given} --animation=a.gif": "`animation` is one file, but 4",
        "stylize.py --export-path=x --export-format=onnx": "`export_path` ends in .onnx for onnx",
        f"stylize.py --export-path={folders}/a.xml --export-format=openvino":
            "a.bin` exists already",
        "stylize.py --export-path=x --checkpoint=none": "There is no checkpoint folder 'none'",
        "train.py --content-path=none --style-path=none": "`none` does not exist",
        f"train.py {given} --val-content-path=none --val-style-path=none": "`none` does not exist",
        f"train.py {given} --encoder-weights=packaged": "Only VGG16's weights are packaged",
        f"train.py {given} --start-from=none": "There is no checkpoint folder 'none'",
        f"train.py --method=predicted {given} --backbone=mobilenet_v2 --backbone-weights=a.h5":
            "no backbone weight file 'a.h5'",
        f"evaluate.py --content-path={folders}/content": "`style_path` is needed",
        f"evaluate.py {given} --checkpoint=adain,none": "There is no checkpoint folder 'none'",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", NO_TENSORFLOW], cwd=ROOT, env=environment(), text=True,
        input="\n".join(faults), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180,
    )  # fmt: skip
    told = iter(done.stdout.splitlines())
    for line, sentence in faults.items():
        assert next(told) == line
        assert sentence in next(told)
        assert next(told) == "2 False", line


# -- methods of train.py ---------------------------------------------------------------------------


@pytest.mark.parametrize("config", [ConditionalConfig, PredictedConfig])
def test_help_of_the_other_methods(config, capsys):
    method = config().method
    assert train.main(["train.py", f"--method={method}", "--help"]) == 0
    said = capsys.readouterr().out
    for field in dataclasses.fields(config):
        assert f"--{field.name.replace('_', '-')}" in said


def test_a_style_is_added_with_the_options_of_the_model(tmp_path, monkeypatch):
    trained = ConditionalConfig(
        content_path="photos", style_path="a", contract=(4, 5, 6), max_iter=500, tv_weight=2.0,
        checkpoint=str(tmp_path), start_from="paintings",
    )  # fmt: skip
    record = {"method": "conditional", "model": {}, "training": dataclasses.asdict(trained)}
    (tmp_path / "config.json").write_text(json.dumps(record))
    seen = []
    argv = ["train.py", "--method=conditional", "--add-style=b.jpg", "--batch-size=3"]
    changed = {"style_path": "", "max_iter": 50, "batch_size": 3, "add_style": "b.jpg"}
    changed["start_from"] = ""
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    for where in ("--checkpoint", str(tmp_path)), (f"--checkpoint=~/{tmp_path.name}",):
        conditional_cli.main([*argv, *where], lambda config: seen.append(config) or 0)
        assert seen.pop() == dataclasses.replace(trained, **changed)
    # A copy of it has pictures of its own.
    where = f"--start-from={tmp_path}", f"--checkpoint={tmp_path / 'new'}"
    conditional_cli.main([*argv, *where], lambda config: seen.append(config) or 0)
    changed |= {"content_path": "", "start_from": str(tmp_path), "checkpoint": f"{tmp_path}/new"}
    assert seen.pop() == dataclasses.replace(trained, **changed)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method=conditional", "--content-path=nowhere", "--style-path=x"], "nowhere"),
        (["--method=conditional", "--content-path=."], "`style_path` is needed"),
        (["--method=conditional", "--add-style=a.jpg", "--checkpoint=nowhere"], "no checkpoint f"),
        (["--method=predicted", "--alpha=1"], "There is no flag --alpha"),
        (
            ["--method=dumoulin"],
            "must be one of adain, conditional, predicted. Received: 'dumoulin'",
        ),
    ],
)
def test_mistakes_with_the_other_methods(words, message, capsys):
    assert train.main(["train.py", *words]) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


# -- other systems ---------------------------------------------------------------------------------

# What other systems than Linux lack: /proc, locks and affinity of Linux, folders that can be
# flushed, and the signal of a closed terminal.
ELSEWHERE = """
import builtins, os, signal, sys
sys.modules["fcntl"] = None
for module, name in ((os, "sched_getaffinity"), (signal, "SIGHUP")):
    delattr(module, name)
open_, fsync = builtins.open, os.fsync
def without_proc(path, *args, **kwargs):
    if str(path).startswith("/proc"):
        raise FileNotFoundError(path)
    return open_(path, *args, **kwargs)
def files_alone(descriptor):
    if os.path.isdir(f"/dev/fd/{descriptor}"):
        raise PermissionError("folders cannot be flushed")
    fsync(descriptor)
builtins.open, os.fsync = without_proc, files_alone
from tf_style.cli.command import main
raise SystemExit(main(["tf-style", *sys.argv[1:]]))
"""


def elsewhere(*words):
    return subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *map(str, words)], cwd=ROOT, env=environment(),
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip


def test_a_system_that_lacks_what_linux_has_stylises(tmp_path, shallow):
    found = elsewhere(
        "stylize", "examples/content/tiger.jpg", "examples/styles/scream.jpg", "--checkpoint",
        shallow, "--content-size=64", "--style-size=64", "--out-path", tmp_path,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "the photo is examples/content/tiger.jpg, the painting is" in found.stderr.split("\n")[0]
    assert read_image(tmp_path / "tiger_stylized_scream.jpg").shape == (41, 64, 3)


@pytest.mark.slow
def test_a_system_that_lacks_what_linux_has_trains(tmp_path):
    words = ["train", "--content-path", "examples/content", "--style-path", "examples/styles",
             "--encoder=vgg16", "--content-layer=relu2_1", "--style-layers=relu1_1",
             "--crop-size=16", "--resize-size=24", "--batch-size=1", "--preview-iter=0",
             "--checkpoint", tmp_path / "ckpt"]  # fmt: skip
    for steps in (1, 2):  # The second resumes.
        found = elsewhere(*words, f"--max-iter={steps}")
        assert found.returncode == 0, found.stderr
