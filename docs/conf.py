"""Settings of the documentation: `sphinx-build -W docs docs/_build`."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tf_style

project = "tf_style"
author = "The tf_style authors"
copyright = "2026, the tf_style authors"
version = release = tf_style.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"tf_style {version}"
html_copy_source = False

# -- Markdown and notebooks ------------------------------------------------------------------------

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# Nothing is loaded from another site.
nb_ipywidgets_js = {}
# A notebook is stored without outputs; an error in it fails the build.
nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_output_stderr = "remove"

# -- docstrings ------------------------------------------------------------------------------------

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [
    ("Call arguments", "params_style"),
    ("Call arguments, as a dictionary", "params_style"),
]
default_role = "code"
