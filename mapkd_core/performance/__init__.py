# SPDX-License-Identifier: Apache-2.0
"""Real time: ways to run the student, how the fastest is chosen, and where the time of a frame goes."""
