"""Every example in a docstring runs and gives what it says."""

import doctest
import importlib
import inspect
import pkgutil
import re

import pytest

import tf_style
from tf_style import checkpoint

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = [
    tf_style,
    *(
        importlib.import_module(info.name)
        for info in pkgutil.walk_packages(tf_style.__path__, "tf_style.")
    ),
]
EXAMPLES = [
    found
    for module in MODULES
    for found in doctest.DocTestFinder(exclude_empty=True).find(module, module.__name__)
    if found.examples
]


# These make whole pictures, exports and evaluations, as other tests do.
LONG = {"tf_style.evaluation.evaluation.evaluate", "tf_style.export.exporting.export_model",
        "tf_style.export.signatures.ServedStylizer", "tf_style.gatys.in_memory.optimize",
        "tf_style.gatys.optimisation.gatys"}  # fmt: skip


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(example, marks=pytest.mark.slow if example.name in LONG else ())
        for example in EXAMPLES
    ],
    ids=lambda example: example.name,
)
def test_example(example):
    if 'load("' in example.docstring and not (checkpoint.PRETRAINED / "adain").is_dir():
        pytest.skip("no trained model in this tree")
    report = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(example, out=report.append)
    assert result.attempted and not result.failed, "".join(report)


def test_there_are_many():
    assert len(EXAMPLES) >= 30 and LONG < {example.name for example in EXAMPLES}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_what_is_public_is_documented(module):
    """Where a function has `Args`, all of its arguments stand there."""
    for name in getattr(module, "__all__", ()):
        public = getattr(module, name)
        if inspect.isfunction(public) or inspect.isclass(public):
            text = inspect.getdoc(public)
            assert text, name
            if "Args:" in text and inspect.isfunction(public):
                told = re.findall(r"^    \**(\w+): ", text, re.MULTILINE)
                assert set(inspect.signature(public).parameters) <= set(told), name
