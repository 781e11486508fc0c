# SPDX-License-Identifier: Apache-2.0
"""Fuzzing of everything that reads what others wrote: messages, bags, calibration, settings, weights, maps.

`targets` are functions of bytes with the errors that they document; `mutation` spoils sound inputs; `case` runs one
with a deadline, a bound on memory and an eye on the interpreter's audit events. Run as

    python -m mapkd_core.robustness.fuzz --cases 1000000            # blind mutations
    python -m mapkd_core.robustness.fuzz --engine atheris --target calibration --seconds 600   # guided by coverage
"""
