"""How the site is built: python -m sphinx -W --keep-going -j auto -b html docs docs/_build/html.

Every `{code-cell}` of a page is run by the build, against the embedded exchange, so that what a
page shows is what its code prints. An error or a warning in one of them ends the build.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from _pages import command_line, docstrings, plain_text  # noqa: E402
from nbclient import NotebookClient  # noqa: E402

import mdkit  # noqa: E402
from mdkit.settings import Settings  # noqa: E402

# Pages depend on nothing that this machine's environment or cache says about mdkit.
for name in Settings.model_fields:
    os.environ.pop(name.upper(), None)
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
_scratch = tempfile.TemporaryDirectory(prefix="mdkit-docs-")
os.environ["MDKIT_CACHE"] = _scratch.name

_create_kernel_manager = NotebookClient.create_kernel_manager


def _over_files(client):
    """Let a page's kernel not use TCP: a port that was free may be taken when it is bound."""
    client.startup_timeout = 180  # as many kernels as there are cores, on a machine that is busy
    manager = _create_kernel_manager(client)
    if sys.platform != "win32":
        manager.transport, manager.ip = "ipc", f"{_scratch.name}/{uuid4().hex}"
    return manager


NotebookClient.create_kernel_manager = _over_files

project = "mdkit"
author = "The mdkit authors"
copyright = author
release = version = mdkit.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_design"]
exclude_patterns = ["_build", "_generated"]
templates_path = ["_templates"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]

# The notebooks are saved with what they printed, and a test of their own runs them.
nb_execution_mode = "force"
nb_execution_excludepatterns = ["notebooks/*"]
nb_execution_in_temp = True
nb_execution_timeout = 180
nb_output_stderr = "error"
nb_merge_streams = True
nb_render_markdown_format = "myst"  # which knows tables
nb_ipywidgets_js = {}  # they would be loaded from a network

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
default_role = "code"
highlight_language = "none"
napoleon_numpy_docstring = False
add_module_names = False

html_theme = "pydata_sphinx_theme"
html_title = "mdkit"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_theme_options = {
    "show_nav_level": 1,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 9,
    "navbar_persistent": ["search-button"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
}
html_sidebars = {"index": [], "start": [], "gallery": [], "measured": [], "hosts": []}


def setup(app):
    """Bring in the notebooks and the command line's help; write the plain-text twins at the end."""
    skipped = shutil.ignore_patterns(".*")
    shutil.copytree(
        HERE.parent / "notebooks", HERE / "notebooks", ignore=skipped, dirs_exist_ok=True
    )
    command_line(HERE / "_generated" / "command_line.md")
    app.connect("autodoc-process-docstring", docstrings, priority=100)
    app.connect("build-finished", plain_text)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
