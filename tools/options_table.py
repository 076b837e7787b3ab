"""Print the README's tables of options, made from the fields of the configs.

With `--write` they are put into the README instead.
"""

import re
import sys
from pathlib import Path

from tf_style.evaluation.config import EvaluateConfig
from tf_style.export.config import ExportConfig
from tf_style.gatys.config import GatysConfig
from tf_style.inference.config import StylizeConfig
from tf_style.option_groups import by_group
from tf_style.training.config import ConditionalConfig, PredictedConfig, TrainConfig

README = Path(__file__).parent.parent / "README.md"
CONFIGS = (
    TrainConfig,
    ConditionalConfig,
    PredictedConfig,
    StylizeConfig,
    GatysConfig,
    ExportConfig,
    EvaluateConfig,
)


def table(config_class: type) -> str:
    """A Markdown table of the options of one script."""
    lines = ["| option | default | what it does |", "|---|---|---|"]
    for field in by_group(config_class):
        name, default = field.name.replace("_", "-"), field.default
        if isinstance(default, tuple):
            default = ",".join(map(str, default))
        shown = "" if field.type is bool else f"`{default}`" if default != "" else "none"
        choices = field.metadata["choices"]
        known = f" One of `{'`, `'.join(choices)}`." if choices and len(choices) > 1 else ""
        lines.append(f"| `--{name}` | {shown} | {field.metadata['help']}{known} |")
    return "\n".join(lines)


def replaced(readme: str) -> str:
    """The README with its tables made anew."""
    for config_class in CONFIGS:
        name = config_class.__name__
        pattern = rf"(<!-- options: {name} -->\n).*?(\n<!-- end -->)"
        new = table(config_class)
        readme, count = re.subn(
            pattern, lambda m, new=new: m[1] + new + m[2], readme, flags=re.DOTALL
        )
        if count != 1:
            raise SystemExit(f"The README has no place for the options of {name}.")
    return readme


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        README.write_text(replaced(README.read_text("utf-8")), "utf-8")
    else:
        print("\n\n".join(map(table, CONFIGS)))
