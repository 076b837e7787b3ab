"""The one command, its subcommands, and what is told of a word that is none."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

import tf_style
from tf_style.cli import command


def run(capsys, *words):
    code = command.main(["tf-style", *words])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",), ("--helpfull",), ("help",)])
def test_help(capsys, words):
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    for name, (_, what) in command.COMMANDS.items():
        assert f"  {name:10}{what}\n" in out


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"tf_style {tf_style.__version__}\n", "")


@pytest.mark.parametrize(
    "word, hint", [("stilize", "did you mean stylize?"), ("x", "there are stylize, train, ")]
)
def test_a_word_that_is_no_command(capsys, word, hint):
    code, out, err = run(capsys, word, "--help")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert err.startswith(f"tf-style: There is no command {word!r}; {hint}")


@pytest.mark.parametrize("name", command.COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_a_command_names_it_as_it_was_called(capsys, name, flag):
    code, out, err = run(capsys, name, flag)
    assert (code, err) == (0, "") and f"tf-style {name}" in out
    assert "python" not in out.partition("Other:")[0].replace("python -m benchmarks", "")
    assert "stylize.py" not in out and "train.py" not in out.replace("`train.py", "")


@pytest.mark.parametrize("name", ["stylize", "train", "export", "evaluate"])
def test_no_options_and_unknown_ones_are_a_sentence(capsys, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in ((), ("--colour=red",)):
        code, out, err = run(capsys, name, *words)
        assert (code, out) == (2, "") and err.startswith(f"tf-style {name}: ")
        assert err.count("\n") == 1 and "Traceback" not in err


def test_it_is_a_module_too(tmp_path):
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-m", "tf_style", "models"], cwd=tmp_path, env=env, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "") and "paintings\n" in found.stdout


def test_a_file_of_flags_that_is_not_there(capsys):
    for name in ("stylize", "evaluate"):
        code, _, err = run(capsys, name, "--flagfile=nowhere")
        assert code == 2 and err.startswith(f"tf-style {name}: --flagfile: ")


def test_a_file_of_flags_may_choose_the_program(capsys, tmp_path):
    (tmp_path / "flags").write_text("--export-path=x\n--export-format=gif\n")
    code, _, err = run(capsys, "stylize", f"--flagfile={tmp_path / 'flags'}")
    assert code == 2 and "`export_format` must be one of" in err
    (tmp_path / "flags").write_text("--method=gatys\n--optimizer=sgd\n")
    code, _, err = run(capsys, "stylize", f"--flagfile={tmp_path / 'flags'}")
    assert code == 2 and "`optimizer` must be one of" in err
