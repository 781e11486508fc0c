# SPDX-License-Identifier: Apache-2.0
"""Files that commands write: whole or not at all, and never lost in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_json(path: Path, content: Any) -> None:
    """Written aside, then renamed; folders are made where absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(json.dumps(content, indent=1) + "\n")
    aside.replace(path)


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """image: H W 3 RGB. Raises OSError where nothing could be written: OpenCV itself only returns False."""
    import cv2

    if not cv2.imwrite(str(path), image[..., ::-1]):
        raise OSError(f"{path} cannot be written; is there space, and may this folder be written to?")
