"""The commands that every `--help` shows work as they stand, made small."""

import glob
import itertools
import re
import shlex
import shutil

import pytest
from conftest import picture

from tf_style.cli import app, conditional, evaluate, export, flags, gatys, stylize, train
from tf_style.evaluation.config import EvaluateConfig
from tf_style.images.writing import write_image

PROGRAMS = {"stylize.py": stylize, "train.py": train, "-m tf_style.evaluate": evaluate}


def commands(module):
    """Every command of a program's help: the program, and its words."""
    text = re.sub(r"\\\n\s*", "", module.__doc__)
    lines = re.findall(rf"^    python ({'|'.join(PROGRAMS)}) (.*)$", text, re.M)
    return [(program, tuple(shlex.split(words))) for program, words in lines]


EXAMPLES = [
    command
    for module in (stylize, gatys, export, train, conditional, evaluate)
    for command in commands(module)
]
PICTURES = {"content-size": "40", "style-size": "40", "precision": "float32"}
NETWORK = {"contract": "4,4,4", "blocks": "1", "expand": "4,4", "content-layers": "relu2_1"}
TRAINING = {
    "encoder": "vgg16", "crop-size": "32", "resize-size": "40", "batch-size": "1", "max-iter": "1",
    "style-layers": "relu1_1,relu2_1", "preview-iter": "0", "precision": "float32",
}  # fmt: skip


def small(program, words):
    """The command with other numbers, and with more of them."""
    method = app.value_of("method", ["", *words])
    if app.value_of("export-path", ["", *words]):
        numbers = {}
    elif program == "train.py":
        numbers = TRAINING | (NETWORK | {"style-size": "32"} if method else
                              {"content-layer": "relu2_1"})  # fmt: skip
    elif program == "stylize.py":
        of_gatys = {"encoder": "vgg16", "max-evaluations": "1", "scales": "1"}
        numbers = PICTURES | (of_gatys if method == "gatys" else {})
    else:
        numbers = {"size": "64", "gatys-evaluations": "none", "precision": "float32"}
    pictures = [*itertools.takewhile(lambda word: not word.startswith("-"), words)]
    words = words[len(pictures) :]
    pictures = [name for word in pictures for name in sorted(glob.glob(word))]  # As the shell.
    given = dict(zip(words[::2], words[1::2], strict=True))
    if "--warmup-sizes" in given:
        numbers = {"warmup-sizes": "32"}
    given |= {f"--{name}": number for name, number in numbers.items()}
    return pictures + [word for pair in given.items() for word in pair]


def is_quick(words):
    return "--style-weights" in words and "gatys" not in words


@pytest.mark.parametrize(
    "program, words",
    [
        pytest.param(*example, marks=() if is_quick(example[1]) else pytest.mark.slow)
        for example in EXAMPLES
    ],
    ids=lambda x: "" if isinstance(x, str) else " ".join(x),
)
def test_an_example_runs(program, words, tiny, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = ["photo", "painting", "night", "new", "images/inputs/a", "images/styles/b"]
    for folder in ("photos", "paintings", "coco", "wikiart", "art"):
        files += [f"{folder}/wave", f"{folder}/scream"]
    files += ["examples/content/a", "examples/styles/b"]
    for seed, name in enumerate(files):
        write_image(f"{name}.jpg", picture(48, 56, seed))
    adds = "--add-style" in words
    if program != "train.py" or adds and "--start-from" not in words:
        shutil.copytree(table if adds else tiny, "ckpt")
    assert PROGRAMS[program].main([program, *small(program, words)]) == 0


def test_every_help_has_examples():
    assert {program for program, _ in EXAMPLES} == set(PROGRAMS)
    assert len(EXAMPLES) >= 18 and any(is_quick(words) for _, words in EXAMPLES)


def test_what_help_says_of_values_is_taken():
    words = ["evaluate.py", "--gatys-evaluations", "none"]
    assert flags.parse(EvaluateConfig, words).gatys_evaluations == ()
