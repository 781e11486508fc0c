# SPDX-License-Identifier: Apache-2.0
"""Start, spin and end of a node's process: one place for signals and exit codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger


def run(make_node: Callable[[], Any], args: list[str] | None = None) -> int:
    """Exit code: 0 after SIGINT, SIGTERM or the node's own end (SystemExit's code), 1 when it cannot start.

    A node may have `close()`, called before it is destroyed: threads end there, reports are written.
    """
    rclpy.init(args=args)
    node, code = None, 0
    try:
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except SystemExit as end:
        code = int(end.code or 0)
    except (ValueError, OSError, ImportError) as error:
        # Only start-up gets here: callbacks of our nodes guard themselves. A bug elsewhere keeps its traceback.
        if node is not None:
            raise
        get_logger("mapkd").fatal(str(error))
        code = 1
    finally:
        if node is not None:
            if hasattr(node, "close"):
                node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    return code
