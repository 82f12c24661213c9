# SPDX-License-Identifier: Apache-2.0
"""The garbage collector does not hold up frames."""

import gc
import weakref

from cone_detector.ros.garbage import settle_garbage


class _Cycle:
    def __init__(self):
        self.itself = self


def test_a_full_round_no_longer_visits_what_was_there_when_the_node_was_configured():
    there = [[n] for n in range(1000)]
    try:
        settle_garbage()
        visited = {id(thing) for thing in gc.get_objects()}
        assert not visited & {id(thing) for thing in there}
        # Configured again, what has gone meanwhile is collected, cycles too.
        gone = _Cycle()
        settle_garbage()
        watched = weakref.ref(gone)
        del gone
        settle_garbage()
        assert watched() is None
    finally:
        gc.unfreeze()
