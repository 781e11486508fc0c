# SPDX-License-Identifier: Apache-2.0
"""Measurements: how fast, against what the machine can do and against a network of HDMapNet's shape."""
