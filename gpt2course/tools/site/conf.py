"""Sphinx's settings for the site. Everything stands beside the pages: no page asks for more."""

project = "gpt2course"
html_title = "gpt2course"
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}

# The notebooks come with their outputs. Widgets would need a kernel; their twins are pictures.
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_merge_streams = True
myst_enable_extensions = []  # no formula is written in TeX, so that no page needs MathJax
myst_heading_anchors = 3

default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_rtype = False
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "furo"
html_favicon = "static/icon.svg"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_js_files = ["scrolling.js", "frames.js"]
html_copy_source = False
html_domain_indices = False
html_show_search_summary = False  # it fetches every page it finds, which a folder does not allow
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}


def setup(app):
    app.connect("autodoc-process-docstring", escape_bars)
    app.connect("html-page-context", complete_the_navigation, priority=900)  # after Furo


def escape_bars(app, kind, name, thing, options, lines):
    """Docstrings are plain text: a bar in them, as in `<|endoftext|>`, is a bar."""
    lines[:] = [line if ">>>" in line else line.replace("|", r"\|") for line in lines]


def complete_the_navigation(app, page, template, context, doctree):
    """Give its captions a level, which a screen reader says; add the Explorer."""
    tree = context.get("furo_navigation_tree", "")
    levelled = tree.replace('role="heading"', 'role="heading" aria-level="2"')
    explorer = context["pathto"]("explorer/index.html", 1)
    link = f'<a class="reference" href="{explorer}">The Explorer</a>'
    context["furo_navigation_tree"] = f'<ul><li class="toctree-l1">{link}</li></ul>{levelled}'
