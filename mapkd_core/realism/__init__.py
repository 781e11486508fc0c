# SPDX-License-Identifier: Apache-2.0
"""How near the made worlds are to real data: the same statistics of both, side by side."""
