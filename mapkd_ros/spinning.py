# SPDX-License-Identifier: Apache-2.0
"""Start, spin and end of a node's process: one place for signals and exit codes."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.logging import get_logger
from rclpy.signals import SignalHandlerOptions

from mapkd_ros.executor import make_executor

# How soon a signal is noticed by a node that has nothing to do.
_POLL_S = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(make_node: Callable[[], Any], args: list[str] | None = None) -> int:
    """Exit code: 0 after SIGINT, SIGTERM or the node's own end (SystemExit's code), 1 when it cannot start.

    A node may have `close()`, called before it is destroyed: threads end there, reports are written. Where it gives
    False a thread of it still works, perhaps inside a library: the process then ends at once with the exit code, for an
    interpreter that takes itself down under such a thread crashes, or waits for it. Signals are handled here and not by
    rclpy, which would invalidate the context before `close()` could publish or log; after the end they are ignored.
    """
    stop, is_starting = threading.Event(), True

    def on_signal(*_: object) -> None:
        stop.set()
        if is_starting:  # a network may take long to load
            raise KeyboardInterrupt

    for number in _SIGNALS:
        signal.signal(number, on_signal)
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except KeyboardInterrupt:
        return 0
    except RuntimeError as error:  # a parameter file that is not there or no YAML, an argument that is none
        print(f"mapkd: wrong --ros-args or parameter file: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    node, code, has_ended = None, 0, True
    try:
        node = make_node()
        is_starting = False
        settle()
        executor = make_executor()
        executor.add_node(node)
        while not stop.is_set():
            executor.spin_once(timeout_sec=_POLL_S)
    except (ExternalShutdownException, KeyboardInterrupt):
        pass
    except SystemExit as end:
        code = int(end.code or 0)
    except (ValueError, OSError, ImportError) as error:
        # Only start-up gets here: callbacks of our nodes guard themselves. A bug elsewhere keeps its traceback.
        if node is not None:
            raise
        get_logger("mapkd").fatal(_plain(error))
        code = 1
    finally:
        is_starting = False
        if node is not None:
            failed, has_ended = _close(node)
            code = failed or code
            node.destroy_node()
        if rclpy.ok():  # no try_shutdown in Humble
            rclpy.shutdown()
        # The work is done: a signal that comes while the interpreter ends must not make a failure of it.
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
    if not has_ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def settle() -> None:
    """What is there now will stay: the garbage collector need not look at it again.

    Networks and their libraries are a quarter of a million objects. To go through them all stops every thread of Python
    for 0.1 to 0.2 s, which costs two frames or three, at any moment of the drive.
    """
    gc.collect()
    gc.freeze()


def unsettle() -> None:
    """What was there may go: the next collection looks at all of it."""
    gc.unfreeze()


def _plain(error: Exception) -> str:
    """In words where ROS has none: it cannot tell the type of an empty list, and does not say which it is."""
    if "PARAMETER_NOT_SET" in str(error):
        return "a parameter is an empty list, [], which ROS 2 cannot take: leave it out, or write ['']"
    return str(error)


def _close(node: Any) -> tuple[int, bool]:
    """Exit code, and whether all threads have ended.

    1 where a report or a bag could not be completed: a full disk must not end in a traceback.
    """
    try:
        return 0, not hasattr(node, "close") or node.close() is not False
    except (ValueError, OSError) as error:
        node.get_logger().fatal(f"could not end as it should: {error}")
        return 1, True
