# SPDX-License-Identifier: Apache-2.0
"""Raster to vector: thinning, tracing and joining of lines, outlines of polygons."""
