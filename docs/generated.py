"""Pages made when the documentation is built, in `docs/generated/`.

The options come from the fields of the configs, the modules from their docstrings; the changelog
and the cards of the models are copies of their files.
"""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import tf_style
from tf_style.option_groups import by_group

DOCS = Path(__file__).resolve().parent
GENERATED = DOCS / "generated"
PACKAGE = Path(tf_style.__file__).resolve().parent

# Heading and place of each config.
OPTIONS = {
    "Stylise with a network": "tf_style:StylizeConfig",
    "Stylise by optimising the pixels": "tf_style:GatysConfig",
    "Train AdaIN": "tf_style:TrainConfig",
    "Train a table of styles": "tf_style:ConditionalConfig",
    "Train a predictor of styles": "tf_style:PredictedConfig",
    "Export": "tf_style:ExportConfig",
    "Evaluate": "tf_style.evaluation.config:EvaluateConfig",
}

OPTIONS_HEAD = """\
Every command has its flags from the fields of a config, a frozen dataclass. `--help` prints the
same list. A checkpoint, and a result of Gatys' method, keep the config that they were made with.

- `--content-path` and `--content_path` are the same flag.
- `--no` before a name turns a switch off: `--nooverwrite`.
- `--preset NAME --help` shows the values of a preset. Flags that are given win over the preset.
- A list is separated by commas: `--style-layers relu1_1,relu2_1`.
- In Python, the same names are arguments: `tf_style.TrainConfig(batch_size=4)`.
"""


def table(config_class: type) -> str:
    """Return a Markdown table of the options of one config."""
    lines = ["| option | default | what it does |", "|---|---|---|"]
    for field in by_group(config_class):
        name, default = field.name.replace("_", "-"), field.default
        if isinstance(default, tuple):
            default = ",".join(map(str, default))
        shown = "off" if field.type is bool else f"`{default}`" if default != "" else "none"
        choices = field.metadata["choices"]
        known = f" One of `{'`, `'.join(choices)}`." if choices and len(choices) > 1 else ""
        lines.append(f"| `--{name}` | {shown} | {field.metadata['help']}{known} |")
    return "\n".join(lines)


def options_page() -> str:
    """Return the page of all options."""
    parts = ["# Options", OPTIONS_HEAD]
    for heading, place in OPTIONS.items():
        config_class = resolve_name(place)
        parts += [f"## {heading}", f"`{place.replace(':', '.')}`", table(config_class)]
    return "\n\n".join(parts) + "\n"


def module_pages() -> Iterator[tuple[str, str]]:
    """Yield name and text of a page for every room, and of one for the files beside the rooms."""
    for room in sorted(path for path in PACKAGE.iterdir() if (path / "__init__.py").exists()):
        tree = ast.parse((room / "__init__.py").read_text("utf-8"))
        yield room.name, module_page(f"tf_style.{room.name}", ast.get_docstring(tree), room)
    yield "ground", module_page("tf_style", "The files that every room may import.", PACKAGE)


def module_page(package: str, about: str, folder: Path) -> str:
    """Return a page that documents the modules of a folder."""
    parts = [f"# {package}", about]
    for path in sorted(folder.glob("[!_]*.py")):
        name = f"{package}.{path.stem}"
        parts += [f"## {name}", f"```{{eval-rst}}\n.. automodule:: {name}\n```"]
    return "\n\n".join(parts) + "\n"


def copied_pages() -> dict[Path, Path]:
    """Return the pages that are copies of files elsewhere: {file: page}."""
    cards = PACKAGE.glob("pretrained/*/MODEL_CARD.md")
    pages = {card: GENERATED / "models" / f"{card.parent.name}.md" for card in cards}
    return pages | {DOCS.parent / "CHANGELOG.md": GENERATED / "changelog.md"}


def moved_links(file: Path, page: Path, pages: dict[Path, Path]) -> str:
    """Return a file's text with its links as seen from the page; what is no page is a download."""

    def moved(match):
        target = (file.parent / match[1]).resolve()
        known = target in pages or target.is_relative_to(DOCS)
        path = os.path.relpath(pages.get(target, target), page.parent)
        return f"]({path if known else f'path:{path}'})"

    return re.sub(r"\]\(([^):#]+)\)", moved, file.read_text("utf-8"))


def write(page: Path, text: str) -> None:
    """Write a page, and leave it alone if it is there as it is."""
    page.parent.mkdir(parents=True, exist_ok=True)
    if not page.exists() or page.read_text("utf-8") != text:
        page.write_text(text, "utf-8")


def write_pages(app) -> None:
    """Write all pages."""
    write(GENERATED / "options.md", options_page())
    for name, text in module_pages():
        write(GENERATED / "modules" / f"{name}.md", text)
    pages = copied_pages()
    for file, page in pages.items():
        write(page, moved_links(file, page, pages))


# -- docstrings ------------------------------------------------------------------------------------

SECTION = re.compile(
    r"(Args|Call arguments|Returns|Yields|Raises|Examples?|References?|Attributes)\b[^.]*:$"
)


def as_rst(lines: list[str]) -> list[str]:
    """Return a docstring's lines with its formulas as literal blocks and no markup by chance.

    A formula is an indented block after a paragraph that is no heading of a section.
    """
    result, paragraph, formula = [], "", None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            result.append(line)
            continue
        blank = not result or not result[-1].strip()
        if formula is not None and indent <= formula:
            formula = None
        if formula is None and blank and paragraph and not SECTION.match(paragraph.strip()):
            before = len(paragraph) - len(paragraph.lstrip())
            if indent >= before + 4 and not line.lstrip().startswith(">>>"):
                formula = before
                result += [" " * before + "::", ""]
        if formula is None:
            example = line.lstrip().startswith((">>>", "..."))
            line = line if example else escaped(line)
            paragraph = line
        result.append(line)
    return result


def escaped(line: str) -> str:
    """Return a line whose stars, bars and final underscores outside of backticks are plain text."""
    parts = re.split(r"(`[^`]*`)", line)
    parts[::2] = [re.sub(r"([*|]|(?<=\w)_(?=\W|$))", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def process_docstring(app, what, name, obj, options, lines) -> None:
    """Make a docstring reStructuredText, before napoleon reads its sections."""
    lines[:] = as_rst(lines)


def setup(app) -> dict:
    """Connect to Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", process_docstring, priority=400)
    return {"parallel_read_safe": True}
