# SPDX-License-Identifier: Apache-2.0
"""Who wrote this bag, and which of its topics is what: names differ by converter, message types do not.

Any bag with camera topics is read, by the same rules; one whose writer is not known here is "generic".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mapkd_core.bags.from_messages import COMPRESSED_IMAGE, RAW_IMAGE
from mapkd_core.bags.storage import BagError, Topic
from mapkd_core.bags.typestore import VECTOR_MAP

# The converters by what they call their images and how they serialise them.
WRITERS = {
    ("raw", "ros1"): "nuscenes2bag",  # clynamen, linClubs/nuscenes2rosbag
    ("raw", "cdr"): "NuScenes2Bag_ROS2",  # Wj-costumer, and nuscenes2bag after rosbags-convert
    ("image_rect_compressed", "protobuf"): "nuscenes2mcap",  # foxglove
    ("image_rect_compressed", "ros1"): "nuscenes2mcap of 2022",  # foxglove, until its own schemas came
    ("image_rect_compressed", "cdr"): "WATonomous/nuscenes_to_ros2bag",
    ("image_raw", "cdr"): "Chris7462/nuscenes_to_ros2bag",
}

# What follows the camera's name in an image topic; longest first is not needed, segments are compared whole.
_IMAGE_WORDS = frozenset(
    {"raw", "image", "image_raw", "image_rect", "image_color", "image_rect_color", "image_rect_compressed",
     "image_raw_compressed", "image_compressed", "compressed", "rgb", "color"}
)  # fmt: skip
_NOT_CAMERAS = ("depth", "label", "mask", "semantic", "segment", "bev", "overlay", "debug")


@dataclass(frozen=True)
class CameraTopics:
    """Topics of one camera as recorded; `info` is None where the bag has no camera_info for it."""

    image: Topic
    info: str | None


@dataclass(frozen=True)
class Dialect:
    """writer: who wrote the bag. cameras: upper-case name -> topics. The others are names as recorded, or None."""

    writer: str
    cameras: dict[str, CameraTopics]
    lidar: str | None = None
    odometry: str | None = None
    truth: str | None = None
    transforms: tuple[str, ...] = ()


def normalise(topic: str) -> str:
    """One leading slash, lower case: nuscenes2bag has no slash, older nuscenes2mcap upper case."""
    return "/" + topic.strip("/").lower()


def camera_name(topic: str) -> str | None:
    """CAM_FRONT for cam_front/raw, /nuscenes/cam_front/image_raw or /CAM_FRONT/image/compressed; None for no camera."""
    segments = normalise(topic).strip("/").split("/")
    while segments and segments[-1] in _IMAGE_WORDS:
        segments.pop()
    if not segments or any(word in segments[-1] for word in _NOT_CAMERAS):
        return None
    return segments[-1].upper()


def identify(topics: Iterable[Topic]) -> Dialect:
    """The roles of a bag's topics; BagError where there is no camera at all."""
    topics = sorted(topics, key=lambda topic: topic.name)
    cameras = _cameras(topics)
    if not cameras:
        listed = ", ".join(f"{topic.name} ({topic.type_name})" for topic in topics[:8])
        more = f" and {len(topics) - 8} more" if len(topics) > 8 else ""
        raise BagError(f"no camera topic (Image or CompressedImage) in the bag; it has {listed}{more}")
    lidar = _first(topics, "sensor_msgs/msg/PointCloud2", ("lidar",))
    odometry = _first(topics, "nav_msgs/msg/Odometry", ("odom", "kinematic_state"))
    truth = _first(topics, VECTOR_MAP, ("truth",))
    transforms = tuple(topic.name for topic in topics if topic.type_name == "tf2_msgs/msg/TFMessage")
    return Dialect(_writer(topics, cameras), cameras, lidar, odometry, truth, transforms)


def canonical_names(dialect: Dialect) -> dict[str, str]:
    """Topic as recorded -> the name under which every bag is replayed (those that BagWriter uses)."""
    names = {}
    for camera, topics in dialect.cameras.items():
        compressed = topics.image.type_name == COMPRESSED_IMAGE
        names[topics.image.name] = f"/{camera.lower()}/image" + ("/compressed" if compressed else "")
        if topics.info:
            names[topics.info] = f"/{camera.lower()}/camera_info"
    singles = {"/lidar_top": dialect.lidar, "/odom": dialect.odometry, "/truth/vector_map": dialect.truth}
    names |= {recorded: name for name, recorded in singles.items() if recorded}
    return names | {topic: "/tf_static" if "static" in topic else "/tf" for topic in dialect.transforms}


def _cameras(topics: list[Topic]) -> dict[str, CameraTopics]:
    images: dict[str, Topic] = {}
    for topic in topics:
        name = camera_name(topic.name) if topic.type_name in (RAW_IMAGE, COMPRESSED_IMAGE) and topic.count else None
        # One camera may be there raw and compressed: the fuller stream, then the smaller messages.
        if name and (name not in images or _rank(topic) > _rank(images[name])):
            images[name] = topic
    infos = {
        normalise(topic.name): topic.name
        for topic in topics
        if topic.type_name == "sensor_msgs/msg/CameraInfo" and topic.count
    }
    return {name: CameraTopics(topic, _info(topic.name, infos)) for name, topic in sorted(images.items())}


def _rank(topic: Topic) -> tuple[int, bool]:
    return topic.count, topic.type_name == COMPRESSED_IMAGE


def _info(image_topic: str, infos: dict[str, str]) -> str | None:
    """camera_info beside the image, or one level further up."""
    segments = normalise(image_topic).strip("/").split("/")
    for depth in range(len(segments) - 1, 0, -1):
        candidate = "/" + "/".join([*segments[:depth], "camera_info"])
        if candidate in infos:
            return infos[candidate]
        if segments[depth - 1] not in _IMAGE_WORDS:
            return None
    return None


def _first(topics: list[Topic], type_name: str, words: tuple[str, ...]) -> str | None:
    """The topic of that type whose name has one of `words`, else the only or first one of that type."""
    matching = [topic.name for topic in topics if topic.type_name == type_name and topic.count]
    named = [name for name in matching if any(word in name.lower() for word in words)]
    return next(iter(named or matching), None)


def _writer(topics: list[Topic], cameras: dict[str, CameraTopics]) -> str:
    images = [camera.image for camera in cameras.values()]
    if all(topic.name.endswith("/image/compressed") for topic in images) and "/tf_static" in {t.name for t in topics}:
        return "mapkd"
    forms = {(normalise(topic.name).rsplit("/", 1)[1], topic.encoding) for topic in images}
    writer = WRITERS.get(forms.pop(), "generic") if len(forms) == 1 else "generic"
    is_prefixed = all(normalise(topic.name).startswith("/nuscenes/") for topic in images)
    return "generic" if writer.startswith("Chris7462") and not is_prefixed else writer
