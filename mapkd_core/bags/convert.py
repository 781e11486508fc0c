# SPDX-License-Identifier: Apache-2.0
"""A recording as a bag, so that an interruption costs seconds: it is written in parts, and what is there is kept.

The parts lie in `.NAME.parts` beside the bag; each is a bag of its own and has its name when it is complete. They are
joined, message by message, into a file that gets the bag's name last.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from mapkd_core.bags.bag_file import BagFile
from mapkd_core.bags.recording import POINTS, TRUTH, Capture, Recording
from mapkd_core.bags.storage import BagError, BagMessage, BagReader
from mapkd_core.writing import write_json

PART_S = 2.0
_FORMAT = 1  # of the parts: one that is older is made again


class Converted(NamedTuple):
    """captures: how many went into the bag; kept: how many of them an earlier call had written already."""

    captures: int
    kept: int


def convert(recording: Recording, path: Path | str, *, part_s: float = PART_S, progress: bool = True) -> Converted:
    """Write the bag `path` (a folder, or a file when it ends in .mcap), or go on with what an earlier call left.

    Raises ValueError where `path` is there already or the parts belong to another recording, and whatever a capture's
    `load` raises; the parts that are complete stay.
    """
    out = Path(path)
    if out.exists():
        raise ValueError(f"bag {out} exists already; remove it or choose another path")
    parts = _parts(recording, part_s)
    aside = out.with_name(f".{out.name}.parts")
    _begin(aside, recording, part_s)
    files = [aside / f"part-{number:04d}.mcap" for number in range(len(parts))]
    whole = [_is_whole(file) for file in files]
    kept = sum(len(part) for part, is_there in zip(parts, whole) if is_there)
    total = len(recording.captures)
    with tqdm(total=total, initial=kept, desc=recording.name, unit="capture", disable=not progress) as bar:
        for number, part in enumerate(parts):
            if not whole[number]:
                _write_part(files[number], recording, part, number == 0, bar)
    _join(files, out)
    shutil.rmtree(aside)
    return Converted(total, kept)


def _parts(recording: Recording, part_s: float) -> list[Sequence[Capture]]:
    """The captures cut at every `part_s` of their stamps; never between two of one stamp."""
    if part_s <= 0:
        raise ValueError(f"part_s = {part_s}; it must be positive")
    parts: dict[int, list[Capture]] = {}
    first_ns = recording.captures[0].stamp_ns
    for capture in recording.captures:
        parts.setdefault(int((capture.stamp_ns - first_ns) / (part_s * 1e9)), []).append(capture)
    return list(parts.values())


def _begin(aside: Path, recording: Recording, part_s: float) -> None:
    """Make the folder, or check that it is this recording's; what a killed process left half-written is removed."""
    captures = recording.captures
    ends_ns = [captures[0].stamp_ns, captures[-1].stamp_ns]
    says = {
        "format": _FORMAT,
        "recording": recording.name,
        "captures": len(captures),
        "ends_ns": ends_ns,
        "part_s": part_s,
    }
    note = aside / "recording.json"
    if not note.is_file():
        shutil.rmtree(aside, ignore_errors=True)  # killed before it had said what it is
        write_json(note, says, indent=None)
    found = json.loads(note.read_text())
    if found != says:
        raise ValueError(f"{aside} holds the parts of {found}, not of {says}; remove it")
    for left in aside.glob(".*.partial-*"):
        shutil.rmtree(left)


def _is_whole(file: Path) -> bool:
    """Whether a part is there and readable to its end; one that is not is removed."""
    if not file.is_file():
        return False
    try:
        with BagReader(file) as reader:
            if reader.damage is None:
                return True
    except BagError:
        pass
    file.unlink()
    return False


def _write_part(file: Path, recording: Recording, part: Sequence[Capture], is_first: bool, bar: tqdm) -> None:
    cameras = {camera.name: camera for camera in recording.rig}
    posed_ns = None
    with BagFile(file) as bag:
        if is_first:
            bag.add_mountings(part[0].stamp_ns, recording.rig, recording.ego_T_lidar)
        for capture in part:
            stamp_ns = capture.stamp_ns
            if stamp_ns != posed_ns and stamp_ns in recording.poses:
                bag.add_pose(stamp_ns, recording.poses[stamp_ns])
                posed_ns = stamp_ns
            if capture.source == POINTS:
                bag.add_points(stamp_ns, capture.load())
            elif capture.source == TRUTH:
                bag.add_truth(stamp_ns, capture.load(), recording.grid, recording.labelled)
            else:
                bag.add_image(cameras[capture.source], stamp_ns, capture.load())
            bar.update()


def _join(files: Sequence[Path], out: Path) -> None:
    with BagFile(out) as bag:
        for file in files:
            for message in _messages(file):
                bag.copy(message)


def _messages(file: Path) -> Iterator[BagMessage]:
    with BagReader(file) as reader:
        yield from reader.messages()
