"""Processes for tests: each is a fork of one server that imported everything once, and did nothing else.

A process of its own would import for five CPU seconds before it does anything.
"""

import multiprocessing

#: One list for all tests: a test process has one such server, and whoever is first starts it.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.preloaded"])
