"""The bar of the commands, as a terminal of some width shows it, and the lines that remain."""

import io
import os
import pty
import re
import signal
import threading

import pytest
from conftest import picture
from rich.console import Console

from tf_style.cli import app, evaluate, stylize, train
from tf_style.cli.bar import LINES, Bar, time_left
from tf_style.images.writing import write_image

LONG = "coast_at_night_with_clouds_stylized_a_very_long_name_of_a_[painting].png"
LOSSES = "content 0.1234 style 5.678 identity 0.9012 total 6.789 | 0.52 pairs/s, input 3%"


def lines(bar, width):
    console = Console(width=width, file=io.StringIO())
    console.print(bar)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize(
    "title, unit, total",
    [("looking at val_content", "pictures", 118_287), ("training", "steps", 160_000),
     (LONG, "evaluations", 500), ("stylising", "pictures", 12)],
)  # fmt: skip
def test_no_number_is_lost(width, title, unit, total):
    bar = Bar()
    bar.show(title, total - 1, total, unit, LOSSES, left=7500)
    first, *below = lines(bar, width)
    share = "91" if total == 12 else "99"  # 100 only at the end.
    assert first.endswith(f" {share}% 2h05m left {total - 1}/{total} {unit}")
    assert len(first) == width and (width < 60 or " ━" in first or " ╸" in first)
    assert first.startswith(title[: 8 if width == 60 else 23]) or width == 40
    assert " ".join(map(str.strip, below)) == LOSSES and max(map(len, below)) <= width


def test_what_matters_most_is_cut_last():
    bar = Bar()
    bar.show("training", 30, 400, "steps", left=65)
    assert [lines(bar, width)[0].strip() for width in (25, 16)] == [
        "7% 1m05s left 30/400 s…", "7% 1m05s left…",
    ]  # fmt: skip


def test_an_unknown_total_has_no_numbers():
    bar = Bar()
    bar.show("exporting", 0, None)
    assert re.fullmatch(r"exporting ━+\s*", lines(bar, 60)[0])


def test_time_left_is_counted_down_and_reckoned(monkeypatch):
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    bar = Bar()
    bar.show("training", 0, 100, left=65)
    now += 5
    assert bar.line("steps") == "0/100 steps, 1m00s left"
    now += 500
    assert bar.line("steps") == "0/100 steps, 0s left"
    # The time of the first 50 is unknown; the next 4 take 2 s.
    bar.show("judging", 50, 100, steady=True)
    assert bar.line("pictures") == "50/100 pictures"
    now += 2
    bar.show("judging", 54, 100, steady=True)
    assert bar.line("pictures") == "54/100 pictures, 23s left"
    assert len(bar.tasks) == 1


@pytest.mark.parametrize("terminal", [True, False])
def test_lines_that_are_due(monkeypatch, terminal):
    """Every half minute, or every twentieth of the work; the first and the last always."""
    now, due = 0.0, []
    monkeypatch.setattr("time.monotonic", lambda: now)
    bar = Bar()
    bar.disable = not terminal
    for step in range(1, 401):
        now += 1
        bar.show("training", step, 400)
        if bar.due():
            due.append(step)
    assert due == [1, *range(20, 401, 20)] if terminal else due == [1, *range(32, 400, 31), 400]
    assert LINES == 20


@pytest.mark.parametrize(
    "seconds, text",
    [(0, "0s left"), (59.4, "59s left"), (59.6, "1m00s left"), (3599.7, "1h00m left"),
     (7500, "2h05m left"), (360_000, "100h00m left")],
)  # fmt: skip
def test_time_left(seconds, text):
    assert time_left(seconds) == text


# -- on a terminal ---------------------------------------------------------------------------------


def on_screen(text):
    """Lines of a terminal that has been given a text: what was erased is gone."""
    screen, row = [""], 0
    for part in re.findall(r"\x1b\[[\d;?]*[a-zA-Z]|\r|\n|[^\x1b\r\n]+", text):
        if part == "\n":
            row += 1
            screen += [""] * (row == len(screen))
        elif part.endswith("A") and part[0] == "\x1b":
            row -= int(part[2:-1])
        elif part == "\x1b[2K":
            screen[row] = ""
        elif part[0] not in "\x1b\r":
            screen[row] += part
    return [line for line in screen if line]


@pytest.fixture
def terminal(monkeypatch, tmp_path):
    """Runs a main on a terminal: its exit code, all that was shown, and the lines that remain."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TERM", "xterm")
    write_image(tmp_path / "a.png", picture(40, 48))
    write_image(tmp_path / "b.png", picture(44, 40, 1))

    def terminal(columns, main, *words):
        parent, child = pty.openpty()
        shown = b""

        def read():
            nonlocal shown
            while True:
                try:
                    shown += os.read(parent, 10_000)
                except OSError:  # Linux' end of file of a terminal.
                    return

        reader = threading.Thread(target=read)
        kept = os.dup(2)
        os.dup2(child, 2)
        try:
            with monkeypatch.context() as patch, open(child, "w") as stderr:
                patch.setenv("COLUMNS", str(columns))
                patch.setattr("sys.stderr", stderr)
                reader.start()
                code = main(["x.py", *map(str, words)])
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        reader.join()
        os.close(parent)
        text = shown.decode()
        return code, re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text), on_screen(text)

    return terminal


def test_what_ctrl_c_does_is_said_beside_the_bar(terminal):
    def main(argv):
        with app.Interrupt("this step") as interrupt, app.progress_bar() as bar:
            bar.show("training", 3, 400, "steps", LOSSES)
            os.kill(os.getpid(), signal.SIGINT)
            for step in (4, 5):
                bar.show("training", step, 400, "steps", LOSSES)
                bar.refresh()
            return 128 + interrupt.signal

    code, _, remains = terminal(60, main)
    assert code == 130 and "stopping after this step; once more stops at once" in remains


def both(tmp_path):
    return f"--content-path={tmp_path}/a.png", f"--style-path={tmp_path}/b.png"


NUMBER = r"[\d.e+-]+"


def test_training(terminal, tmp_path):
    small = """--encoder=vgg16 --content-layer=relu2_1 --style-layers=relu1_1,relu2_1
        --crop-size=16 --resize-size=24 --batch-size=1 --max-iter=80 --log-iter=1
        --preview-iter=0""".split()
    ckpt = f"--checkpoint={tmp_path}/ckpt"
    code, shown, remains = terminal(60, train.main, *both(tmp_path), ckpt, *small)
    assert code == 0
    assert re.search(r"looking at style ━+ 100% 1/1 pictures\s", shown)
    assert re.search(r"training ━+ +0% 0/80 steps\s", shown)
    assert re.search(r"training .*\d% \d+s left \d+/80 steps\s+content ", shown)
    losses = [line for line in remains if re.match(r"\d+/80 steps, content ", line)]
    assert [line.split("/")[0] for line in losses] == ["1", *map(str, range(4, 81, 4))]
    assert re.fullmatch(
        rf"80/80 steps, content {NUMBER} style {NUMBER} total {NUMBER} "
        rf"\| {NUMBER} pairs/s, input \d+%, 0s left", losses[-1],
    )  # fmt: skip
    assert remains[-1].startswith("done; try it by stylize.py --checkpoint ")


def test_gatys(terminal, tmp_path):
    words = """--method=gatys --encoder=vgg16 --content-layers=relu1_1 --style-layers=relu1_1
        --max-evaluations=12 --save-every=5 --scales=1 --precision=float32""".split()
    out = f"--out-path={tmp_path}/out"
    code, shown, remains = terminal(60, stylize.main, *both(tmp_path), out, *words)
    assert code == 0
    assert re.search(r"a_stylized_b\S* .*\d% \d+s left \d+/12 evaluations\s+loss ", shown)
    loss = rf"loss {NUMBER} = content {NUMBER} \+ style {NUMBER}"
    parts = [line for line in remains if re.match(rf"\d+/12 evaluations, {loss}", line)]
    assert len(parts) == 2
    assert re.fullmatch(rf"1/1 .*/a_stylized_b\.jpg \d+ s, {loss}.*", remains[-2])
    assert remains[-1].startswith("1 written to ")


def test_evaluation(terminal, tmp_path, tiny):
    words = "--size=64", "--gatys-evaluations=", f"--checkpoint={tiny}"
    out = f"--out-path={tmp_path}/out"
    code, shown, remains = terminal(60, evaluate.main, *both(tmp_path), out, *words)
    assert code == 0
    assert re.search(r"judging ━+ ", shown)
    assert re.search(r"judging ━+ 100% 0s left 3/3 pictures\s+a.b tiny", shown)
    assert remains[-1].startswith(f"{tmp_path}/out/evaluation.md, ")


def test_a_folder(terminal, folders, tiny):
    """A name that would be markup, and what cannot be read."""
    (folders / "content/b.png").rename(folders / "content/b[bold].png")
    (folders / "content/a.png").write_bytes(b"")
    words = [f"--{k}-path={folders}/{k}" for k in ("content", "style")]
    words += [f"--out-path={folders}/out", f"--checkpoint={tiny}", "--precision=float32"]
    code, shown, remains = terminal(60, stylize.main, *words)
    assert code == 1
    assert re.fullmatch(r"(CPU with \d+ threads|\d GPUs?), float32", remains[0])
    assert any(line.startswith(f"`{folders}/content/a.png` is empty") for line in remains)
    assert remains[-1] == f"2 written to {folders}/out, 2 failed because of a.png"
    assert re.search(r"stylising ━+ 100% 0s left 4/4 pictures\s+b\[bold\]_stylized_t\.jpg", shown)
