# SPDX-License-Identifier: Apache-2.0
"""Made-up and real roads, and the pictures a rig of cameras takes of them."""
