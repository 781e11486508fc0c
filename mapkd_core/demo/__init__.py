# SPDX-License-Identifier: Apache-2.0
"""The demo in three steps: a drive that the weights never saw, the nodes that map it, pictures of what came out."""
