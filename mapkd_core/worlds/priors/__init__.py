# SPDX-License-Identifier: Apache-2.0
"""What a vehicle may know beforehand: a navigation (SD) map with its error, an HD map that is no longer true."""
