"""What the README and the pages of docs/ say is so."""

import re
import shlex
import signal
import sys
from pathlib import Path

import pytest

from tf_style.cli import app, flags
from tf_style.cli import conditional as conditional_cli
from tf_style.cli import export as export_cli
from tf_style.cli import gatys as gatys_cli
from tf_style.cli import stylize as stylize_cli
from tf_style.cli import train as train_cli
from tf_style.export.config import ExportConfig
from tf_style.gatys.config import GatysConfig
from tf_style.inference.config import StylizeConfig
from tf_style.training.config import ConditionalConfig, PredictedConfig, TrainConfig
from tf_style.training.data import MAX_BAD_SHARE

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
CARDS = sorted((ROOT / "tf_style/pretrained").glob("*/MODEL_CARD.md"))
SERVING = ROOT / "serving/README.md"
PAGES = {path.name: path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}


METHODS = {"gatys": GatysConfig, "conditional": ConditionalConfig, "predicted": PredictedConfig}


def commands(text, program):
    """Every command line of a program in a text, as its arguments."""
    text = text.replace("\\\n", " ")
    lines = re.findall(rf"(?:{program}\.py|tf-style {program}) (?=[^\n`]*-)([^\n`]*)", text)
    lines = (re.split(r"&&| #|\.\.\.", line)[0] for line in lines)
    return [shlex.split(line) for line in lines if "COMMAND" not in line]


@pytest.mark.parametrize(
    ("program", "config_class", "doc"),
    [
        ("train", TrainConfig, train_cli.__doc__ + conditional_cli.__doc__),
        ("stylize", StylizeConfig, stylize_cli.__doc__ + gatys_cli.__doc__ + export_cli.__doc__),
        ("export", ExportConfig, ""),
    ],
)
def test_every_command_is_understood(program, config_class, doc):
    files = (SERVING, *CARDS)
    texts = (README, doc, *PAGES.values(), *(file.read_text("utf-8") for file in files))
    found = [args for text in texts for args in commands(text, program)]
    assert found
    found = [args for args in found if "--help" not in args]
    for arguments in found:
        words = [f"{program}.py", *arguments]
        by_method = METHODS.get(app.value_of("method", words), config_class)
        by_method = ExportConfig if app.value_of("export-path", words) else by_method
        flags.parse(by_method, words)


def test_what_stops_a_training_is_said():
    """How many bad pictures do, in every text; and what each exit code means to train.py."""
    for text in (README, PAGES["training.md"], train_cli.__doc__, conditional_cli.__doc__):
        assert f"more than {MAX_BAD_SHARE * 100:.0f} % of a folder" in " ".join(text.split())
    rows = re.findall(
        r"^\| ([\d, ]+) \| (.*) \|$",
        PAGES["files_and_exit_codes.md"].split("## Exit codes")[1],
        re.MULTILINE,
    )
    assert [int(code) for codes, _ in rows for code in codes.split(",")] == [
        app.OK, app.SOME_FAILED, app.USER_ERROR, app.NON_FINITE, app.NO_MEMORY, app.WORKER_LOST,
        *(128 + number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)),
    ]  # fmt: skip
    assert "`train.py`" in dict(rows)["1"] and "`left_out.tsv`" in dict(rows)["1"]


def test_the_commands_that_ci_runs_are_there():
    for name in ("stylise", "test"):
        assert re.search(rf"<!-- command: {name} -->\n```sh\n.*\n```", README)


def test_the_readme_is_short():
    assert README.count("\n") <= 200


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_every_link_to_a_file_leads_somewhere(page):
    text, folder = (README, ROOT) if page == "README.md" else (PAGES[page], ROOT / "docs")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        generated = target.startswith("generated/")  # Made when the documentation is built.
        assert generated or (folder / target).exists(), target


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_every_file_that_is_named_is_there(page):
    text = README if page == "README.md" else PAGES[page]
    rooms = "cli|evaluation|export|gatys|images|inference|nn|training"
    for name in re.findall(rf"`((?:tf_style/)?(?:{rooms})/\w+\.py|tools/\w+\.py)`", text):
        assert any((ROOT / place / name).exists() for place in ("", "tf_style")), name


def test_the_readme_names_every_room():
    for folder in (path.parent for path in (ROOT / "tf_style").glob("*/__init__.py")):
        assert f"| `tf_style/{folder.name}/` |" in README, folder


@pytest.mark.slow
def test_the_python_section_runs(tmp_path, monkeypatch):
    code = re.search(r"## In Python\n\n```python\n(.*?)```", README, re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    scope = {}
    exec(compile(code, "README.md", "exec"), scope)
    assert (tmp_path / "tiger.png").stat().st_size > 10_000
    assert scope["result"].ndim == scope["image"].ndim == 3
    assert scope["optimised"].shape == (64, 64, 3)


def test_the_console_scripts_are_the_mains():
    setup = (ROOT / "setup.cfg").read_text()
    assert "tf-style = tf_style.cli.command:main" in setup
    assert "tf-style-train = tf_style.cli.train:main" in setup
    assert "tf-style-stylize = tf_style.cli.stylize:main" in setup


def test_the_oldest_python_is_the_one_promised():
    promised = re.search(r"python_requires = >=(\d+)\.(\d+)", (ROOT / "setup.cfg").read_text())
    assert tuple(map(int, promised.groups())) <= sys.version_info[:2]
    assert f"Python {promised[1]}.{promised[2]} or newer" in README
