# SPDX-License-Identifier: Apache-2.0
"""One camera's topics: images become pictures of the network's size in a pool as they arrive; CameraInfo is kept."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from concurrent.futures import TimeoutError as FutureTimeoutError  # the builtin one only from Python 3.11 on
from dataclasses import dataclass
from typing import Any, TypeAlias

import message_filters
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from mapkd_core.data.reduced import Fitted, Picture, Reduction, whole
from mapkd_ros.conversions import picture, stamp_ns
from mapkd_ros.qos_events import asked, destroy, on_mismatch

# CameraInfos kept per camera: more than a second of them, as images may wait for others and for the inference.
_KEPT_INFOS = 32
# More undecoded images of one camera than this means that decoding cannot keep up.
_MAX_UNDECODED = 4

Ahead: TypeAlias = Callable[[Picture | Fitted], Picture | Fitted]

_KINDS = {"raw": (Image,), "compressed": (CompressedImage,), "auto": (CompressedImage, Image)}


def unchanged(picture: Picture | Fitted) -> Picture | Fitted:
    """Where no network wants to see pictures ahead of their frame."""
    return picture


@dataclass(frozen=True)
class CameraImage:
    """An image on its way through the decoder."""

    header: Header
    decoded: Future[Picture | Fitted]

    def picture(self, timeout_s: float = 5.0) -> Picture | Fitted:
        """As soon as it is decoded; ValueError for an image that could not be."""
        try:
            return self.decoded.result(timeout_s)
        except CancelledError as error:
            raise ValueError("decoding fell behind; raise decode_threads or lower the cameras' rate") from error
        except FutureTimeoutError as error:
            raise ValueError(f"decoding took longer than {timeout_s} s") from error
        except ValueError:
            raise
        except Exception as error:  # of a decoder: it costs this camera, not the frame of all of them
            raise ValueError(f"decoding failed: {type(error).__name__}: {error}") from error


class CameraInput(message_filters.SimpleFilter):
    """A filter that signals a `CameraImage` for every image of one camera; `close` frees its subscriptions.

    transport: raw, compressed, or auto = listen to both until the first image, then to its topic alone, until
    `look_again`.
    reduction: of the network, to whose size pictures are brought. ahead: asked at
    each image: what is done with its picture then.
    counts: received, infos, qos_incompatible, decode_overload, lost (on the way, as the middleware counts).
    first_arrival_s, last_arrival_s: time.monotonic() of the oldest and the newest image.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        transport: str,
        qos: QoSProfile,
        pool: Executor,
        reduction: Reduction = whole,
        ahead: Callable[[], Ahead] = lambda: unchanged,
    ) -> None:
        super().__init__()
        self.name = name
        self._kept: deque[tuple[int, CameraInfo]] = deque(maxlen=_KEPT_INFOS)
        self.counts: Counter[str] = Counter()
        self.last_arrival_s: float | None = None
        self.first_arrival_s = float("inf")
        self._node, self._pool, self._reduction, self._ahead = node, pool, reduction, ahead
        self._undecoded: deque[Future[Any]] = deque()
        self._kinds = {
            f"{name.lower()}/image" + ("/compressed" if kind is CompressedImage else ""): kind
            for kind in _KINDS[transport]
        }
        self._images: dict[str, message_filters.Subscriber] = {}
        self._qos = qos
        self.look_again()
        topic = f"{name.lower()}/camera_info"
        events = on_mismatch(node, topic, self._count_mismatch, "qos.image_reliability")
        self._infos = asked(
            node, node.create_subscription(CameraInfo, topic, self._on_info, qos, event_callbacks=events)
        )

    @property
    def topics(self) -> tuple[str, ...]:
        """Image topics listened to."""
        return tuple(self._images)

    @property
    def info(self) -> CameraInfo | None:
        """The newest that arrived."""
        return self._kept[-1][1] if self._kept else None

    def info_at(self, at_ns: int) -> CameraInfo | None:
        """That of an image: of the same stamp, else the newest before it, else the newest; of equals the last to come.

        Where a calibration changes on the way, an image that had to wait must not get that of the images after it.
        """
        kept = tuple(self._kept)  # the executor adds while the worker reads
        before = [(stamp, order) for order, (stamp, _) in enumerate(kept) if stamp <= at_ns]
        return kept[max(before)[1]][1] if before else self.info

    def look_again(self) -> bool:
        """Listen to all topics that images may come on; whether that is more than before.

        With `auto` a driver that starts again with another transport would not be heard otherwise.
        """
        missing = [topic for topic in self._kinds if topic not in self._images]
        for topic in missing:
            events = on_mismatch(
                self._node, topic, self._count_mismatch, "qos.image_reliability", lambda n: self.counts.update(lost=n)
            )
            heard = message_filters.Subscriber(
                self._node, self._kinds[topic], topic, qos_profile=self._qos, event_callbacks=events
            )
            asked(self._node, heard.sub)
            heard.registerCallback(self._on_image, topic)
            self._images[topic] = heard
        return bool(missing)

    def close(self) -> None:
        """Free the subscriptions; what is being decoded is decoded."""
        for name in list(self._images):
            destroy(self._node, self._images.pop(name).sub)
        destroy(self._node, self._infos)

    def _on_image(self, message: Any, topic: str) -> None:
        if len(self._images) > 1:
            self._keep_only(topic)
        self.counts["received"] += 1
        self.last_arrival_s = time.monotonic()
        self.first_arrival_s = min(self.first_arrival_s, self.last_arrival_s)
        while self._undecoded and self._undecoded[0].done():
            self._undecoded.popleft()
        if len(self._undecoded) >= _MAX_UNDECODED and self._undecoded.popleft().cancel():
            self.counts["decode_overload"] += 1
        decoded = self._pool.submit(self._picture, message, self._ahead())
        self._undecoded.append(decoded)
        self.signalMessage(CameraImage(message.header, decoded))

    def _picture(self, message: Any, ahead: Ahead) -> Picture | Fitted:
        return ahead(picture(message, self._reduction))

    def _keep_only(self, topic: str) -> None:
        for other in [name for name in self._images if name != topic]:
            destroy(self._node, self._images.pop(other).sub)

    def _on_info(self, message: CameraInfo) -> None:
        self.counts["infos"] += 1
        self._kept.append((stamp_ns(message.header.stamp), message))

    def _count_mismatch(self) -> None:
        self.counts["qos_incompatible"] += 1
