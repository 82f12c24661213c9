# SPDX-License-Identifier: Apache-2.0
"""A worker does jobs in order, keeps the newest one where they come too fast, and ends when told."""

import threading

from cone_detector.ros.worker import Worker

WAIT_S = 10


def test_the_newest_job_is_done_next():
    started, go_on, last = threading.Event(), threading.Event(), threading.Event()
    done = []

    def work(job):
        started.set()
        assert go_on.wait(WAIT_S)
        done.append(job)
        if job == 5:
            last.set()

    worker = Worker("test", work)
    worker.put(1)
    assert started.wait(WAIT_S)
    for job in (2, 3, 4, 5):
        worker.put(job)
    go_on.set()
    assert last.wait(WAIT_S)
    worker.stop()
    assert done == [1, 5]


def test_stop_waits_for_the_job_in_work_and_drops_the_rest():
    started, go_on = threading.Event(), threading.Event()
    done = []

    def work(job):
        started.set()
        assert go_on.wait(WAIT_S)
        done.append(job)

    worker = Worker("test", work)
    worker.put(1)
    assert started.wait(WAIT_S)
    worker.put(2)
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    assert done == []
    # Once the worker knows that it is to stop, the job in work may end.
    while not worker._stopped:
        pass
    go_on.set()
    stopping.join(WAIT_S)
    assert done == [1]
