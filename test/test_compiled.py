# SPDX-License-Identifier: Apache-2.0
"""Compiled code is kept over starts, and must never be that of an older source."""

import ast
import builtins
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import cone_detector
from cone_detector.compiled import FLOAT, compiled, packed, view

ROOT = Path(cone_detector.__file__).parent
MODULES = [
    ".".join(("cone_detector", *path.relative_to(ROOT).with_suffix("").parts))
    for path in sorted(ROOT.rglob("*.py"))
    if "from cone_detector.compiled import" in path.read_text(encoding="utf-8")
]
KNOWN = {"np", *dir(builtins)}


def names(node):
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}


def assignments(tree):
    """What each constant of a module is made of."""
    made = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                for each in ast.walk(target):
                    if isinstance(each, ast.Name):
                        made[each.id] = names(statement.value)
    return made


@pytest.mark.parametrize("module", MODULES)
def test_compiled_functions_use_nothing_of_other_modules(module):
    """A change of those would go unnoticed, and the old code would run on."""
    loaded = import_module(module)
    tree = ast.parse(Path(loaded.__file__).read_text(encoding="utf-8"))
    bodies = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    compiled_ones = {name for name in bodies if isinstance(getattr(loaded, name), Dispatcher)}
    made = assignments(tree)
    assert compiled_ones
    for name in compiled_ones:
        body = [each for statement in bodies[name].body for each in ast.walk(statement) if isinstance(each, ast.Name)]
        own = {each.id for each in body if isinstance(each.ctx, ast.Store)}
        own |= {argument.arg for argument in bodies[name].args.args}
        wanted = {each.id for each in body} - own - compiled_ones - KNOWN
        while wanted:
            foreign = wanted - made.keys()
            assert not foreign, f"{module}.{name} uses {foreign} of another module: hand it over as an argument"
            wanted = set().union(*(made[each] for each in wanted)) - KNOWN


def test_what_cannot_be_kept_is_compiled_all_the_same():
    """A source that lies nowhere has no folder beside it: as where no folder can be written."""
    scope = {"compiled": compiled, "FLOAT": FLOAT, "packed": packed}
    exec("@compiled(packed(FLOAT, 1))\ndef total(values):\n    return values.sum()\n", scope)
    assert scope["total"](np.ones(3, np.float32)) == 3


def test_an_array_that_does_not_fit_is_refused_and_never_compiled_for():
    @compiled(packed(FLOAT, 1))
    def last(values):
        return values[-1]

    assert last(np.arange(4, dtype=np.float32)) == 3
    for wrong in (np.arange(4), np.arange(8, dtype=np.float32)[::2]):
        with pytest.raises(TypeError, match="No matching definition"):
            last(wrong)


def test_a_view_takes_memory_of_any_layout():
    @compiled(view(FLOAT, 2))
    def corner(values):
        return values[-1, -1]

    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    fixed = values.copy()
    fixed.flags.writeable = False
    assert [corner(each) for each in (values, values.T, values[:, ::2], fixed)] == [11, 11, 10, 11]


def test_without_compilation_the_package_can_still_be_imported():
    """For a debugger: NUMBA_DISABLE_JIT=1 leaves the functions as they are written."""
    code = "import cone_detector.boxes, cone_detector.stereo.locator"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, check=True)
