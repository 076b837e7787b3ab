"""The arrows between the modules, and what importing them may cost."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tf_style

PACKAGE = Path(tf_style.__file__).parent

# The rows of the design, lowest first: rooms (folders) and ground files. Imports go down or stay in
# the room. Rooms of one row do not know each other; ground files import what stands to their left.
ROWS = [
    "errors config mixtures machine memory files locking",
    "option_groups checkpoint images",
    "nn",
    "converters",
    "training gatys inference",
    "evaluation export",
    "web video",
    "cli",
    "evaluate __main__",
]
PLACES = {
    room: (level, column)
    for level, row in enumerate(ROWS)
    for column, room in enumerate(row.split())
}


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


FILES = {name_of(path): path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
TREES = {path: ast.parse(path.read_text(), str(path)) for path in PACKAGE.rglob("*.py")}


def imports(tree):
    """Dotted names of all that a module imports, at its head or inside a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of_ours(name):
    """The module of this package that a dotted name begins with, if any."""
    parts = name.split(".")
    if parts[0] != "tf_style":
        return None
    found = [".".join(parts[1:n]) for n in (3, 2) if ".".join(parts[1:n]) in FILES]
    return found[0] if found else None


# -- arrows ----------------------------------------------------------------------------------------


def room_of(module):
    return module.split(".")[0]


def goes_down(module, other):
    """Whether a module may import another one."""
    room, imported = room_of(module), room_of(other)
    if room == imported:
        return True
    (level, column), (other_level, other_column) = PLACES[room], PLACES[imported]
    files = (PACKAGE / f"{imported}.py").exists()
    return other_level < level or (other_level == level and files and other_column < column)


def test_every_module_is_in_a_room():
    assert {room_of(module) for module in FILES} <= set(PLACES)


@pytest.mark.parametrize("module", sorted(FILES))
def test_imports_go_down(module):
    imported = {of_ours(name) for name in imports(TREES[FILES[module]])} - {None}
    wrong = sorted(other for other in imported if not goes_down(module, other))
    assert not wrong, f"{module} imports {wrong}"


@pytest.mark.parametrize("room", sorted(p.name for p in PACKAGE.iterdir() if p.is_dir()))
def test_a_room_has_no_circle(room):
    """Its modules can be put in an order in which each imports only those before it."""
    left = {
        module: {of_ours(name) for name in imports(TREES[path])} - {None, module}
        for module, path in FILES.items()
        if room_of(module) == room
    }
    while left:
        free = [module for module, imported in left.items() if not imported & set(left)]
        assert free, f"these import each other: {sorted(left)}"
        for module in free:
            del left[module]


# Tests that are about no module alone, and modules whose tests stand elsewhere.
CROSSING = {"architecture", "benchmarks", "cli.help_examples", "cli.programs", "conformance",
            "docstrings", "golden", "precision", "readme", "serving.client",
            "serving.requests"}  # fmt: skip
ELSEWHERE = {
    "errors": "test_docstrings",
    **dict.fromkeys(
        ("evaluation.config", "export.config", "gatys.config", "inference.config",
         "training.config"), "test_option_groups",
    ),
    **dict.fromkeys(
        ("cli.app", "cli.conditional", "cli.evaluate", "cli.export", "cli.gatys", "cli.streams",
         "cli.stylize", "cli.train", "evaluate"), "cli/test_programs",
    ),
    **dict.fromkeys(
        ("evaluation.methods", "evaluation.pairs", "evaluation.summary", "evaluation.wanted"),
        "evaluation/test_evaluation",
    ),
    "export.wanted": "export/test_exporting",
    "gatys.line_search": "gatys/test_lbfgs",
    "gatys.result": "gatys/test_folder",
    "gatys.wanted": "gatys/test_folder",
    "images.formats": "images/test_reading",
    "images.inputs": "images/test_reading",
    "inference.wanted": "inference/test_folder",
    "nn.stylizers": "nn/test_base",
    "training.wanted": "cli/test_programs",
}  # fmt: skip


def test_tests_stand_in_the_rooms_of_what_they_test():
    tests = Path(__file__).parent
    found = {
        ".".join((path.parent / path.stem.removeprefix("test_")).relative_to(tests).parts)
        for path in tests.rglob("test_*.py")
    }
    modules = {name for name in FILES if not name.startswith("__")}
    assert found - modules == CROSSING
    assert modules - found == set(ELSEWHERE)
    assert all((tests / f"{place}.py").exists() for place in ELSEWHERE.values())


def test_the_reader_of_arrows_sees_them():
    source = (
        "import tf_style\nfrom tf_style.nn import layers\n"
        "def f():\n    from tf_style.cli import app\n"
    )
    found = [of_ours(name) for name in imports(ast.parse(source))]
    assert found == [None, "nn.layers", "cli.app"]
    assert of_ours("tf_style.nn.statistics.gram_matrix") == "nn.statistics"
    assert of_ours("numpy.linalg") is None
    arrows = sum(of_ours(name) is not None for tree in TREES.values() for name in imports(tree))
    assert arrows > 40


def test_the_package_itself_imports_no_module_of_its_own():
    for path in PACKAGE.rglob("__init__.py"):
        assert not [name for name in imports(TREES[path]) if of_ours(name)], path


def test_what_nothing_here_imports():
    # keras.src is private; the others bring Keras 2, or run code from files.
    banned = {"tf_keras", "pickle", "dill", "joblib", "shelve", "marshal"}
    for path, tree in TREES.items():
        for name in imports(tree):
            assert name.split(".")[0] not in banned, f"{path} imports {name}"
            assert not name.startswith(("keras.src", "tensorflow.keras")), f"{path} imports {name}"


def test_only_the_journeys_print():
    for name, path in FILES.items():
        calls = [
            node.lineno
            for node in ast.walk(TREES[path])
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
        ]
        assert not calls or name.startswith("cli."), f"{path}: lines {calls}"


# -- names -----------------------------------------------------------------------------------------


def test_every_public_name_resolves():
    assert tf_style.__all__ == sorted(tf_style.__all__) == dir(tf_style)
    for name in tf_style.__all__:
        public = getattr(tf_style, name)
        assert public.__module__.startswith("tf_style.") and public.__doc__, name
    with pytest.raises(AttributeError, match="module 'tf_style' has no attribute 'styliser'"):
        _ = tf_style.styliser


@pytest.mark.parametrize("module", sorted(FILES))
def test_what_a_module_offers_is_there(module):
    found = importlib.import_module(f"tf_style.{module}")
    assert found.__doc__
    assert all(hasattr(found, name) for name in getattr(found, "__all__", ()))


# -- what an import costs --------------------------------------------------------------------------


def python(code, **env):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("KERAS_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=kept | env,
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )


HEAVY = "{'absl', 'h5py', 'keras', 'numpy', 'PIL', 'rich', 'tensorflow', 'tensorflow_probability'}"


@pytest.mark.parametrize(
    "module, allowed",
    [
        ("tf_style", "set()"),
        ("tf_style.option_groups", "set()"),
        ("tf_style.errors", "set()"),
        # `--help` has to be quick.
        ("tf_style.cli.train", "{'absl'}"),
        ("tf_style.cli.stylize", "{'absl'}"),
    ],
)
def test_importing_is_cheap(module, allowed, tmp_path):
    code = f"import sys, {module}\nprint({HEAVY} & set(sys.modules) - {allowed})"
    run = python(code, KERAS_HOME=str(tmp_path))
    assert (run.stdout, run.stderr) == ("set()\n", "")
    assert os.listdir(tmp_path) == []


BACKEND = "ImportError: tf_style needs Keras' TensorFlow backend; {} says 'jax': set KERAS_BACKEND="


CHECK = "tf_style.check_backend()"


def test_another_backend_by_variable(tmp_path):
    run = python("import tf_style; tf_style.load", KERAS_HOME=str(tmp_path), KERAS_BACKEND="jax")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith(BACKEND.format("KERAS_BACKEND"))


def test_another_backend_by_file(tmp_path):
    config = tmp_path / "keras.json"
    config.write_text('{"backend": "jax"}')
    run = python(f"import tf_style; {CHECK}", KERAS_HOME=str(tmp_path))
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith(BACKEND.format(config))
    # The variable wins, as in Keras.
    run = python(f"import tf_style; {CHECK}", KERAS_HOME=str(tmp_path), KERAS_BACKEND="tensorflow")
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("content", ['{"backend": "tensorflow"}', "{}", "[]", "not json", "\xff"])
def test_other_files_are_no_hindrance(tmp_path, content):
    (tmp_path / "keras.json").write_text(content, "latin-1")
    run = python(f"import tf_style; {CHECK}", KERAS_HOME=str(tmp_path))
    assert (run.returncode, run.stderr) == (0, "")


def test_another_backend_already_chosen(tmp_path):
    (tmp_path / "keras.py").write_text("class config:\n    backend = lambda: 'jax'\n")
    head = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import keras, tf_style"
    for code in (CHECK, "keras.ops = 0; import tf_style.nn.statistics"):
        run = python(f"{head}; {code}", KERAS_HOME=str(tmp_path))
        assert run.returncode == 1
        assert run.stderr.splitlines()[-1].startswith(BACKEND.format("keras.config.backend()"))
