"""Build the notebooks of the course from their text: solutions/NN_stem.py, jupytext's py:percent.

    python -m gpt2course.tools.authoring                build every notebook
    python -m gpt2course.tools.authoring solutions/05_x.py     build the notebooks of one source
    python -m gpt2course.tools.authoring --check        fail on what is stale, leaking or malformed,
                                                         on names and links that lead nowhere
    python -m gpt2course.tools.authoring --from-notebook solutions/05_x.ipynb
                                                         bring an edit made in JupyterLab back
    python -m gpt2course.tools.authoring --new exercise masking NAME
    python -m gpt2course.tools.authoring --new lesson STEM
                                                         stubs that build, run and check at once

A source gives two notebooks: solutions/NN_stem.ipynb, solved, and lessons/NN_stem.ipynb. In the
lesson the lines from `### BEGIN SOLUTION` to `### END SOLUTION` are one line that raises
NotImplementedError. Edit a source or a solution notebook, never a lesson. A build refuses to
overwrite cells that were edited since the last one, unless it is given --force.

An exercise is a cell with such lines, its check the next cell with `NAME = check(NAME)`. Both
carry nbgrader's metadata (schema version 3); in the solution the check is followed by a hidden
test, which fails unless the answer passed. So nbgrader takes solutions/*.ipynb as they are.

A source must be what jupytext itself would write, so that source -> notebook -> source is the same
byte for byte: `# %matplotlib inline` and not `%matplotlib inline`, options in alphabetical order
and in ASCII. A fault shows the line as it should be.

A Markdown cell that begins with a heading "Deeper: …" is collapsed when JupyterLab opens the
notebook, up to the next heading of its level or above. Its first line must say so:

    # %% [markdown] jp-MarkdownHeadingCollapsed=true

A lesson leaks where a code cell, a comment or a fenced Python block holds, as a syntax tree,
  - the whole answer of a region, from 3 nodes on, or
  - one of its statements of at least 10 nodes (what a statement assigns or returns is compared,
    wherever it stands), or
  - either of them with other variable names, from 12 nodes on.
Names, constants, calls, attributes and operations count one each, operator signs nothing:
`q @ k.T` has 4. To show an answer on purpose, say why in the cell's first line; --check lists it:

    # %% shows_solution="the ladder ends here; the exercise is to write it for a batch"
"""
