# SPDX-License-Identifier: Apache-2.0
"""The main job end to end: a bag with six cameras through the real nodes, and pictures of the map that comes out.

Renders a drive that the weights have never seen into a rosbag2 bag (kept for the next time), starts replay, map,
evaluation and record node as processes of their own over DDS in a private domain, plays at the cameras' rate, and
leaves in DIR: demo.webm and stills (images with predicted lines, prediction beside truth), metrics.json (frames in
and out, latency, rate, IoU and AP per class), `published` (the bag of what the map node published) and logs. Needs
ROS 2: a sourced distribution, or what `make setup` installs.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

from mapkd_core.commands.result import Result
from mapkd_core.data import seeds

EXAMPLE = "mapkd demo --out out/demo\n  mapkd demo --out out/real --roads roads/scene-0061.json.gz --seconds 10"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("out/demo"), metavar="DIR", help="folder for everything")
    parser.add_argument(
        "--seed", type=int, default=seeds.DEMO.start, metavar="S", help="procedural world, or look of --roads"
    )
    parser.add_argument("--roads", type=Path, metavar="MAP", help="drive over this road map instead (*.json.gz)")
    parser.add_argument("--seconds", type=float, default=12.0, metavar="S", help="length of the drive, at most")
    parser.add_argument("--rate", type=float, default=12.0, metavar="HZ", help="frames a second of each camera")
    parser.add_argument("--size", default="800x450", metavar="WxH", help="camera pictures, in pixels")
    parser.add_argument("--video-every", type=int, default=2, metavar="N", help="every N-th frame goes into the video")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write one still, 1440 pixels wide, there, too")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="NAME.safetensors; the shipped ones if absent")


def run(options: argparse.Namespace) -> Result:
    from mapkd_core.commands.arguments import size
    from mapkd_core.demo import drive, nodes, pictures, ros_environment
    from mapkd_core.mapper import SHIPPED
    from mapkd_core.training.checkpoint import read_card

    started = time.monotonic()
    read_card(options.weights or SHIPPED)  # before minutes of work
    ros_environment.ros_environment()
    if options.video_every < 1:
        raise ValueError(f"video-every = {options.video_every}; must be at least 1")
    width, height = size(options.size)
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = drive.DemoDrive(options.seed, str(options.roads or ""), options.seconds, options.rate, width, height)
    bag = options.out / "drive.mcap"
    is_new = drive.ensure(bag, chosen)
    _clear(options.out)  # not before: a wrong road map must not cost the results of the last run
    metrics = nodes.play_all(bag, options.seconds, options.out, options.weights)
    video, stills = pictures.draw(bag, options.out / "published", options.out, options.rate, options.video_every)
    if options.picture:
        _write_small(stills[len(stills) // 2], options.picture)
    summary = _summary(metrics) | {
        "video": str(video), "stills": [str(path) for path in stills], "metrics": str(options.out / "metrics.json"),
        "published": str(options.out / "published"), "drive": str(bag), "drive_rendered": is_new,
        "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip
    return Result(summary, _text(summary))


def _clear(out: Path) -> None:
    """What an earlier run left, but for the drive."""
    for name in ("published", "logs"):
        shutil.rmtree(out / name, ignore_errors=True)
    for old in (*out.glob("frame-*.png"), out / "demo.webm", out / "metrics.json"):
        old.unlink(missing_ok=True)


def _write_small(still: Path, out: Path) -> None:
    import cv2

    picture = cv2.imread(str(still))
    out.parent.mkdir(parents=True, exist_ok=True)
    size = (1440, round(1440 * picture.shape[0] / picture.shape[1]))
    if not cv2.imwrite(str(out), cv2.resize(picture, size, interpolation=cv2.INTER_AREA)):
        raise ValueError(f"cannot write a picture to {out}; end it in .png or .jpg")


def _summary(metrics: dict[str, Any]) -> dict[str, Any]:
    kept = ("frames_in", "frames_out", "frames_out_over_in", "rate_hz", "latency_ms", "miou", "map", "iou", "class_ap")
    kept += ("replay_speed", "at_full_speed")
    return {name: metrics.get(name) for name in kept if name in metrics}


def _slower(s: dict[str, Any]) -> list[str]:
    """Said plainly where the machine did not hold the cameras' rate."""
    first = s.get("at_full_speed")
    if not first:
        return []
    lost = f"{first['frames_out']} maps of {first['frames_in']} frames at full speed"
    return [f"           replayed at {s['replay_speed']:g} of real time: this machine made only {lost}"]


def _text(s: dict[str, Any]) -> str:
    from mapkd_core.evaluation.report import table

    def percent(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.1f}"

    latency = s["latency_ms"] or {}
    classes = list(s["iou"] or {})
    rows = [[name, percent(s["iou"][name]), percent((s["class_ap"] or {}).get(name))] for name in classes]
    rows.append(["mean", percent(s["miou"]), percent(s["map"])])
    share = percent(s["frames_out_over_in"])
    return "\n".join(
        [
            "",
            *table(["class", "IoU %", "AP %"], rows),
            "",
            f"frames     {s['frames_out']} maps of {s['frames_in']} frames ({share} %), {s['rate_hz'] or 0:.1f} Hz",
            *_slower(s),
            "latency    " + ", ".join(f"{name} {value:.0f} ms" for name, value in latency.items()),
            f"video      {s['video']}",
            f"stills     {', '.join(s['stills'])}",
            f"metrics    {s['metrics']}",
            f"published  {s['published']}",
            f"drive      {s['drive']} ({'rendered now' if s['drive_rendered'] else 'kept from an earlier run'})",
            f"took       {s['seconds']:.0f} s",
        ]
    )
