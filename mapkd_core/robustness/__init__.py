# SPDX-License-Identifier: Apache-2.0
"""What a map is worth when cameras fail, and how a vehicle notices that they do.

`pictures` and `rigs` spoil frames, `conditions` lists every way with its severities, `bench` scores the map under each.
`picture_watch`, `flow_watch` and `mount_watch` look at the pictures of a drive and tell what is wrong with a camera.
"""
