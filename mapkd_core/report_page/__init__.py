# SPDX-License-Identifier: Apache-2.0
"""An evaluation as one page that stands alone: tables, curves as SVG, the worst frames as pictures inside the file."""

from mapkd_core.report_page.page import page

__all__ = ["page"]
