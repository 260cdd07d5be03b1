"""How the documentation is built: ``make docs`` writes it to docs/_build/html, without a network."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

project = "tinygrad_like"
author = "the authors of tinygrad_like"
project_copyright = author
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",  # docstrings in Google's style
    "sphinx.ext.viewcode",
    "myst_nb",  # pages in Markdown, some of them executed
    "reference_pages",
    "self_contained",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]

# Single backquotes name objects: a link where there is such a page, plain code where not.
default_role = "py:obj"
highlight_language = "none"  # where a block doesn't say: diagrams
add_module_names = False
toc_object_entries = False
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # most say Any
autodoc_use_legacy_class_based = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # attributes as a list, since properties are members already
napoleon_numpy_docstring = False

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"
nb_execution_mode = "auto"  # a notebook that brings its results is shown as it is
nb_execution_raise_on_error = True
nb_execution_timeout = 60
nb_execution_show_tb = True
nb_merge_streams = True

html_theme = "furo"
html_title = "tinygrad_like"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5fa8", "color-brand-content": "#1f5fa8"},
    "dark_css_variables": {"color-brand-primary": "#7fb4f0", "color-brand-content": "#7fb4f0"},
}
