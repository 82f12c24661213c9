# SPDX-License-Identifier: Apache-2.0
"""Loops over boxes and samples, compiled by Numba.

After an inference the caches hold the network, and each of the dozens of small NumPy operations that a loop over boxes
would take waits for its own code: 2 to 4 microseconds each, whatever the number of boxes. One compiled loop waits once.

Code is compiled when a module is imported for the first time (half a minute in all) and kept beside it, or in the
user's cache folder. Numba compiles anew when that one file changes, so a compiled function may use constants and
functions of its own module only; all else comes as an argument (test_compiled.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit, types
from numba.core.dispatcher import Dispatcher

Function = TypeVar("Function", bound=Callable[..., Any])

BYTE, FLOAT, DOUBLE, INT, BOOL = types.uint8, types.float32, types.float64, types.int64, types.boolean

_LOGGER = logging.getLogger(__name__)
_OPTIONS = {
    # Sums may be reordered, so that they run in vectors. What is no number keeps its meaning: a network can emit it.
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
    "error_model": "numpy",
}
_said = False


def view(dtype: Any, dimensions: int) -> Any:
    """The type of an array that is only read and may lie in memory in any way, like a camera's image."""
    return types.Array(dtype, dimensions, "A", readonly=True)


def packed(dtype: Any, dimensions: int) -> Any:
    """The type of an array that is only read and lies in memory without gaps, last index first."""
    return types.Array(dtype, dimensions, "C", readonly=True)


def compiled(*arguments: Any) -> Callable[[Function], Function]:
    """Compiles a function for these types of arguments, at once; calls with others raise TypeError.

    The global interpreter lock is kept: a call takes less time than getting it back may.
    """

    def compile_for(function: Function) -> Function:
        try:
            result = njit(arguments, cache=True, **_OPTIONS)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            result = njit(arguments, **_OPTIONS)(function)
            _say("at every start: let NUMBA_CACHE_DIR name a folder that can be written")
        else:
            # NUMBA_DISABLE_JIT=1, for a debugger, leaves the function as it is.
            if isinstance(result, Dispatcher) and not result.stats.cache_hits:
                _say("once")
        return result

    return compile_for


def part_of_compiled(function: Function) -> Function:
    """Compiles a function that only compiled ones of its module call."""
    return njit(**_OPTIONS)(function)


def inlined(function: Function) -> Function:
    """The same for a function so small that a call, which hands over each array in seven parts, would cost more."""
    return njit(inline="always", **_OPTIONS)(function)


def _say(how_often: str) -> None:
    global _said
    if not _said:
        _said = True
        _LOGGER.warning("compiling loops for this CPU: up to half a minute, %s", how_often)
