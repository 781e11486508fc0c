# SPDX-License-Identifier: Apache-2.0
"""Image decoding: every encoding gives the same picture, and nothing damaged gets through."""

import struct
from array import array

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapkd_core.data import image_codec
from mapkd_core.data.image_codec import (
    UnsupportedEncoding,
    compressed_size,
    decode_compressed,
    decode_raw,
    parse_format,
    unturned,
)

needs_strict_jpeg = pytest.mark.skipif(image_codec.simplejpeg is None, reason="simplejpeg is not installed")


def packed(rgb, encoding, padding=0):
    """The picture as rows of `encoding`, each followed by `padding` bytes of rubbish: (step, bytes)."""
    alpha = np.full((*rgb.shape[:2], 1), 77, np.uint8)
    image = {
        "rgb8": rgb,
        "bgr8": rgb[..., ::-1],
        "rgba8": np.concatenate([rgb, alpha], -1),
        "bgra8": np.concatenate([rgb[..., ::-1], alpha], -1),
        "mono8": rgb[..., :1],
    }[encoding]
    rows = image.reshape(len(rgb), -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=211)
    return padded.shape[1], padded.tobytes()


def photo(height=48, width=64):
    """A smooth picture with three clearly different channels."""
    y, x = np.mgrid[:height, :width]
    return np.stack([200 * x / width, 255 * y / height, np.full(x.shape, 40)], -1).astype(np.uint8)


def jpeg(rgb, *flags):
    return cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), list(flags))[1].tobytes()


def png(rgb):
    return cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes()


@given(
    encoding=st.sampled_from(image_codec.RAW_ENCODINGS),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    padding=st.integers(0, 7),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_encoding_gives_the_same_rgb_whatever_the_row_padding(encoding, size, padding, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    step, data = packed(rgb, encoding, padding)
    expected = np.repeat(rgb[..., :1], 3, -1) if encoding == "mono8" else rgb
    for buffer in (
        data,
        bytearray(data),
        memoryview(data),
        array("B", data),
        np.frombuffer(data, np.uint8),
    ):
        assert np.array_equal(decode_raw(encoding, size[1], size[0], step, 0, buffer), expected)


@pytest.mark.parametrize("encoding", image_codec.RAW_ENCODINGS)
def test_raw_decoding_copies_nothing(encoding):
    step, data = packed(photo(), encoding, padding=5)
    source = np.frombuffer(data, np.uint8)
    assert np.shares_memory(decode_raw(encoding, 64, 48, step, 0, source), source)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 0}, ["0 x 48"]),
        ({"height": 0}, ["64 x 0"]),
        ({"step": 191}, ["step 191", "192"]),
        ({"data": bytes(192 * 48 - 1)}, ["9215", "9216"]),
        ({"data": b""}, ["0 bytes", "9216"]),
        ({"data": bytes(192 * 49)}, ["9408", "9216"]),
    ],
)
def test_sizes_that_contradict_each_other_are_refused_with_the_values(change, words):
    arguments = {
        "encoding": "rgb8",
        "width": 64,
        "height": 48,
        "step": 192,
        "is_bigendian": 0,
        "data": bytes(192 * 48),
    }
    with pytest.raises(ValueError) as error:
        decode_raw(**(arguments | change))
    assert not isinstance(error.value, UnsupportedEncoding)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize("encoding", ["yuv422_yuy2", "bayer_rggb8", "16UC1", "RGB8", ""])
def test_other_encodings_are_left_to_cv_bridge(encoding):
    with pytest.raises(UnsupportedEncoding, match="rgb8, bgr8, rgba8, bgra8, mono8"):
        decode_raw(encoding, 2, 2, 4, 0, bytes(8))


@pytest.mark.parametrize(
    ("text", "codec", "swapped"),
    [
        ("jpeg", "jpeg", False),
        ("jpg", "jpeg", False),
        ("JPEG", "jpeg", False),
        ("png", "png", False),
        ("image/jpeg", "jpeg", False),
        ("", "", False),
        ("rgb8; jpeg compressed bgr8", "jpeg", False),
        ("bgr8; jpeg compressed bgr8", "jpeg", False),
        ("bgr8; png compressed ", "png", False),
        ("mono8; jpeg compressed ", "jpeg", False),
        ("bayer_rggb8; jpeg compressed bgr8", "jpeg", False),
        ("rgb8; jpeg compressed rgb8", "jpeg", True),
    ],
)
def test_format_strings(text, codec, swapped):
    assert parse_format(text) == image_codec.CompressedFormat(codec, swapped)


@pytest.mark.parametrize(
    "text",
    ["16UC1; compressedDepth", "16UC1; png compressed ", "webp", "h264", "32FC1; tiff"],
)
def test_formats_that_are_not_read_say_so(text):
    with pytest.raises(UnsupportedEncoding, match=text.split(";")[0]):
        parse_format(text)


def test_compressed_pictures_come_out_in_rgb():
    rgb = photo()
    assert np.array_equal(decode_compressed("bgr8; png compressed bgr8", png(rgb)), rgb)
    assert np.abs(decode_compressed("jpeg", jpeg(rgb)).astype(int) - rgb).mean() < 3
    assert np.array_equal(decode_compressed("rgb8; png compressed rgb8", png(rgb[..., ::-1])), rgb)


def test_grey_pictures_have_three_equal_channels():
    grey = photo()[..., 1]
    decoded = decode_compressed("mono8; jpeg compressed ", cv2.imencode(".jpg", grey)[1].tobytes())
    assert decoded.shape == (48, 64, 3) and (decoded[..., 0] == decoded[..., 2]).all()


@pytest.mark.parametrize("reduce", [1, 2, 4, 8])
@pytest.mark.parametrize("encode", [jpeg, png])
def test_reduced_pictures_have_the_rounded_up_size_and_the_same_content(encode, reduce):
    rgb = photo(90, 123)
    small = decode_compressed("", encode(rgb), reduce=reduce)
    assert small.shape == (-(-90 // reduce), -(-123 // reduce), 3)
    rows, columns = 90 // reduce, 123 // reduce
    blocks = rgb[: rows * reduce, : columns * reduce].reshape(rows, reduce, columns, reduce, 3).mean((1, 3))
    assert np.abs(small[:rows, :columns] - blocks).mean() < 3


def test_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match="reduce is 3"):
        decode_compressed("jpeg", jpeg(photo()), reduce=3)


@pytest.mark.parametrize("encode", [jpeg, png])
@pytest.mark.parametrize("keep", [0.0, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_cut_pictures_are_refused(encode, keep):
    whole = encode(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    with pytest.raises(ValueError):
        decode_compressed("", whole[: int(keep * len(whole))])


@needs_strict_jpeg
def test_a_jpeg_with_a_hole_and_a_proper_end_is_refused_not_grey():
    whole = jpeg(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="premature end"):
        decode_compressed("jpeg", whole[: len(whole) // 2] + b"\xff\xd9")


def test_bytes_after_the_end_do_no_harm():
    assert decode_compressed("jpeg", jpeg(photo()) + bytes(64)).shape == (48, 64, 3)


def test_a_thumbnail_in_the_header_does_not_hide_a_cut():
    whole, thumbnail = jpeg(photo()), jpeg(photo(8, 8))
    segment = b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    with_thumbnail = whole[:2] + segment + whole[2:]
    assert compressed_size(with_thumbnail) == (64, 48)
    assert decode_compressed("jpeg", with_thumbnail).shape == (48, 64, 3)
    with pytest.raises(ValueError, match="cut off"):
        decode_compressed("jpeg", with_thumbnail[:-100])


def test_the_orientation_tag_does_not_turn_the_picture():
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    whole = jpeg(photo())
    turned = whole[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + whole[2:]
    for strict in (image_codec.simplejpeg, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(image_codec, "simplejpeg", strict)
            assert decode_compressed("jpeg", turned).shape == (48, 64, 3)


def test_what_would_turn_a_picture_is_cut_out_and_nothing_else():
    """For a decoder on a GPU, which turns by Exif and cannot be told not to."""
    whole = jpeg(photo())
    segment = lambda marker, content: b"\xff" + marker + struct.pack(">H", len(content) + 2) + content  # noqa: E731
    exif, xmp = segment(b"\xe1", b"Exif\0\0II*\0"), segment(b"\xe1", b"http://ns.adobe.com/xap/1.0/\0<x/>")
    tagged = whole[:2] + exif + xmp + exif + whole[2:]
    assert unturned(tagged) == whole[:2] + xmp + whole[2:]
    assert unturned(bytearray(whole)) == whole
    assert np.array_equal(decode_compressed("jpeg", unturned(tagged)), decode_compressed("jpeg", whole))


def test_size_bound_is_checked_before_decoding():
    whole = bytearray(png(photo()))
    whole[16:24] = struct.pack(">II", 100_000, 100_000)  # a header that promises 30 GB
    with pytest.raises(ValueError, match="100000 x 100000 pixels is larger than the bound of 64000000"):
        decode_compressed("png", bytes(whole))
    with pytest.raises(ValueError, match="bound of 3000"):
        decode_compressed("jpeg", jpeg(photo()), max_pixels=3000)


def test_data_of_another_kind_than_the_format_says_is_refused():
    with pytest.raises(ValueError, match="says png, but the data is jpeg"):
        decode_compressed("png", jpeg(photo()))
    with pytest.raises(ValueError, match="neither jpeg nor png"):
        decode_compressed("jpeg", b"GIF89a" + bytes(20))
