# SPDX-License-Identifier: Apache-2.0
"""Pixels out of image messages, from plain arguments: bags and ROS conversions both decode here.

Raw images become views, not copies: a result may be read-only or have unusual strides (bgr8 has a negative one, mono8 a
zero one), so call numpy.ascontiguousarray before handing it to code that needs plain memory. Compressed images are
checked from their header before anything is allocated, and a cut or damaged one is refused, never half grey.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

try:  # tells damaged JPEGs from sound ones and is quicker; OpenCV alone notices a missing end only
    import simplejpeg
except ImportError:
    simplejpeg = None

Pixels = NDArray[np.uint8]  # H W 3, RGB
Buffer: TypeAlias = "bytes | bytearray | memoryview | array[int] | NDArray[np.uint8]"

MAX_PIXELS = 64_000_000  # 192 MB of RGB: more than any vehicle camera, less than what hurts
REDUCTIONS = (1, 2, 4, 8)

_RAW_CHANNELS = {
    "rgb8": (0, 1, 2),
    "bgr8": (2, 1, 0),
    "rgba8": (0, 1, 2),
    "bgra8": (2, 1, 0),
    "mono8": (0, 0, 0),
}
_PIXEL_BYTES = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
RAW_ENCODINGS = tuple(_RAW_CHANNELS)


class UnsupportedEncoding(ValueError):  # noqa: N818  reads better where it is caught
    """The encoding is a legal one that is not read here; cv_bridge may know it."""


@dataclass(frozen=True)
class CompressedFormat:
    """What a CompressedImage.format says. codec: jpeg, png, or "" where it says nothing."""

    codec: str
    is_swapped: bool = False  # the encoder was given RGB where it takes BGR ("... compressed rgb8")


def decode_raw(
    encoding: str,
    width: int,
    height: int,
    step: int,
    is_bigendian: bool | int,
    data: Buffer,
) -> Pixels:
    """A sensor_msgs/Image as an H W 3 RGB view of `data` (`is_bigendian` means nothing for 8-bit channels).

    Raises UnsupportedEncoding for an encoding outside RAW_ENCODINGS, ValueError for sizes that contradict each other.
    """
    if encoding not in _RAW_CHANNELS:
        raise UnsupportedEncoding(f"image encoding {encoding!r} is not one of {', '.join(RAW_ENCODINGS)}")
    pixel_bytes = _PIXEL_BYTES[encoding]
    if width <= 0 or height <= 0:
        raise ValueError(f"image of {width} x {height} pixels is empty; width and height must be positive")
    if step < width * pixel_bytes:
        raise ValueError(
            f"step {step} is too small: a row of {width} {encoding} pixels needs at least {width * pixel_bytes} bytes"
        )
    flat = np.frombuffer(data, np.uint8)
    if flat.size != step * height:
        raise ValueError(
            f"image data has {flat.size} bytes, but step {step} x height {height} = {step * height}; "
            f"{encoding}, width {width}"
        )
    image = np.lib.stride_tricks.as_strided(flat, (height, width, pixel_bytes), (step, pixel_bytes, 1))
    if encoding == "mono8":
        return np.broadcast_to(image, (height, width, 3))
    return image[..., 2::-1] if encoding.startswith("bgr") else image[..., :3]


def parse_format(text: str) -> CompressedFormat:
    """CompressedImage.format: "jpeg", "jpg", "png", "", or image_transport's "rgb8; jpeg compressed bgr8".

    Raises UnsupportedEncoding for other codecs and for depth images.
    """
    source, _, transport = text.lower().partition(";")
    if not transport:
        source, transport = "", source
    words = transport.replace("/", " ").split()
    codec = next((known for word, known in _CODECS.items() if word in words), None)
    if source.strip().startswith(("16uc", "32fc", "64fc")) or "compresseddepth" in words:
        raise UnsupportedEncoding(f"compressed format {text!r} is a depth image; a colour or grey camera is needed")
    if codec is None and words:
        raise UnsupportedEncoding(f"compressed format {text!r} is not read; send jpeg or png")
    # image_transport's own decoder swaps back in this case, too: what it was told is not BGR is RGB in BGR's place.
    return CompressedFormat(codec or "", is_swapped="compressed rgb" in transport)


def decode_compressed(format: str, data: Buffer, *, max_pixels: int = MAX_PIXELS, reduce: int = 1) -> Pixels:
    """A sensor_msgs/CompressedImage as H W 3 RGB.

    max_pixels: larger pictures (before reduction) are refused from their header, before any allocation.
    reduce: 1, 2, 4 or 8; the picture comes out at ceil(size / reduce), which is quicker for JPEG.
    Raises UnsupportedEncoding for formats not read here, ValueError for damaged, cut or oversized data.
    """
    if reduce not in REDUCTIONS:
        raise ValueError(f"reduce is {reduce}, must be one of {REDUCTIONS}")
    declared = parse_format(format)
    flat = np.frombuffer(data, np.uint8)
    width, height = compressed_size(flat)
    if width * height > max_pixels:
        raise ValueError(f"compressed image of {width} x {height} pixels is larger than the bound of {max_pixels}")
    codec = _codec_of(flat.data)
    if declared.codec and declared.codec != codec:
        raise ValueError(f"compressed format {format!r} says {declared.codec}, but the data is {codec}")
    shape = (-(-height // reduce), -(-width // reduce), 3)
    image = _decode_jpeg(flat, shape, reduce) if codec == "jpeg" else _decode_cv(flat)
    if image.shape != shape:
        # Whole blocks, as the JPEG decoder takes them: otherwise the scale, and with it K, would depend on the codec.
        bottom, right = shape[0] * reduce - height, shape[1] * reduce - width
        whole = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        image = cv2.resize(whole, shape[1::-1], interpolation=cv2.INTER_AREA)
    return image[..., ::-1] if declared.is_swapped else image


def compressed_size(data: Buffer) -> tuple[int, int]:
    """(width, height) from the header of a JPEG or PNG; ValueError where the data is neither or ends too early."""
    raw = np.frombuffer(data, np.uint8).data
    width, height = (_jpeg_size if _codec_of(raw) == "jpeg" else _png_size)(raw)
    if not width or not height:
        raise ValueError(f"compressed image of {width} x {height} pixels is empty")
    return width, height


_CODECS = {"jpeg": "jpeg", "jpg": "jpeg", "png": "png"}
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_JPEG_END = b"\xff\xd9"
_START_OF_FRAME = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_START_OF_SCAN = 0xDA
_APP1, _EXIF = 0xE1, b"Exif\x00\x00"


def _codec_of(raw: memoryview) -> str:
    head = bytes(raw[:8])
    if head[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if head == _PNG_MAGIC:
        return "png"
    raise ValueError(f"compressed image of {len(raw)} bytes starts with {head!r}: neither jpeg nor png")


def _png_size(raw: memoryview) -> tuple[int, int]:
    if len(raw) < 24 or _PNG_END not in bytes(raw[-64:]):
        raise ValueError(f"png of {len(raw)} bytes is cut off: its end marker is missing")
    return struct.unpack(">II", raw[16:24])


def _segments(raw: memoryview) -> Iterator[tuple[int, int, int]]:
    """Marker, begin and end of each segment up to the scan, whose end is not looked for: thumbnails inside a segment
    have frames and ends of their own. Raises ValueError where something else stands between two of them.
    """
    at = 2
    while at + 4 <= len(raw):
        marker = raw[at + 1]
        if raw[at] != 0xFF:
            raise ValueError(f"jpeg is damaged: no marker at byte {at} of {len(raw)}")
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        end = at + 2 + struct.unpack(">H", raw[at + 2 : at + 4])[0]
        yield marker, at, end
        if marker == _START_OF_SCAN:
            return
        at = end


def _jpeg_size(raw: memoryview) -> tuple[int, int]:
    size, at = None, len(raw)
    for marker, begin, end in _segments(raw):
        if marker in _START_OF_FRAME and begin + 9 <= len(raw):
            size = struct.unpack(">HH", raw[begin + 5 : begin + 9])
        at = begin if marker == _START_OF_SCAN else end
    if size is None or not _has_end(raw[at:]):
        raise ValueError(f"jpeg of {len(raw)} bytes is cut off: its end marker is missing")
    return size[1], size[0]


def unturned(data: Buffer) -> bytes:
    """The bytes of a JPEG without its Exif, for decoders that turn pictures by it and cannot be told not to."""
    raw = np.frombuffer(data, np.uint8).data
    tags = [
        (begin, end) for marker, begin, end in _segments(raw)
        if marker == _APP1 and bytes(raw[begin + 4 : begin + 10]) == _EXIF
    ]  # fmt: skip
    ends = [0, *(end for _, end in tags)]
    begins = [*(begin for begin, _ in tags), len(raw)]
    return b"".join(bytes(raw[end:begin]) for end, begin in zip(ends, begins, strict=True))


def _has_end(scan: memoryview) -> bool:
    """Nearly always the last two bytes; only where they are not is the scan copied, to be searched."""
    return any(_JPEG_END in bytes(part) for part in (scan[-64:], scan))


def _decode_jpeg(flat: NDArray[np.uint8], shape: tuple[int, int, int], reduce: int) -> Pixels:
    if simplejpeg is None:
        return _decode_cv(flat, reduce)
    least = {"min_height": shape[0], "min_width": shape[1], "min_factor": reduce} if reduce > 1 else {}
    return simplejpeg.decode_jpeg(flat, "RGB", strict=True, **least)


def _decode_cv(flat: NDArray[np.uint8], reduce: int = 1) -> Pixels:
    reduced = {
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }
    # The intrinsics belong to the pixels as stored, so an orientation tag must not turn the picture.
    image = cv2.imdecode(flat, reduced.get(reduce, cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise ValueError(f"compressed image of {flat.size} bytes is damaged: OpenCV cannot decode it")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
