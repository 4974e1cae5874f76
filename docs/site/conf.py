"""How Sphinx makes the site; `build.py` beside it stages the pages and starts it."""

project = "Opora"
author = "the Opora project"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
highlight_language = "text"
nitpicky = True

# Headings have the anchors that a forge gives them, so that one link holds in both places.
myst_heading_anchors = 4

html_theme = "furo"
html_title = "Opora"
html_static_path = ["static"]
html_css_files = ["opora.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
