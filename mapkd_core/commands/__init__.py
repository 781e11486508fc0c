# SPDX-License-Identifier: Apache-2.0
"""The sub-commands of `mapkd`, one thin file each: EXAMPLE, add_arguments(parser), run(options) -> Result.

A command's module docstring is its help text. Heavy imports (torch, OpenCV) happen inside `run`: --help is quick.
"""
