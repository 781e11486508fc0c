# SPDX-License-Identifier: Apache-2.0
"""Rendered worlds written as a nuScenes dataset that nuscenes-devkit loads as it is. `write.write_set` does it all."""
