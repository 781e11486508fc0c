# SPDX-License-Identifier: Apache-2.0
"""Sound inputs made unsound: a few edits at random places, of bits, numbers, words and whole parts."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

MAX_BYTES = 1 << 16  # of an input; those that files and messages begin with are what decides

# Numbers at which readers go wrong, as text and as binary; and words of the formats read here.
NUMBERS = (0, 1, -1, 127, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 10**9, -(10**9))
_TEXTS = (
    *(str(n).encode() for n in NUMBERS), b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1e-999", b".inf", b".nan",
    b"null", b"true", b"{}", b"[]", b"[[]]", b'""', b"\xff\xfe", b"\x00", b"[" * 2000, b'{"a":' * 500, b"!!int ''",
    b"!!bool x", b"!!timestamp x", b"!!binary x", b"!!python/object/apply:os.system [id]", b"&a [*a, *a]", b"*a",
    b"? [a]\n: b\n",
    b"../..", b"/dev/zero", b"'", b"\xed\xa0\x80", b"9" * 400,
)  # fmt: skip
_PACKED = tuple(
    struct.pack(form, n & (256 ** struct.calcsize(form) - 1))
    for n in NUMBERS
    for form in ("<B", "<H", "<I", ">I", "<Q")
) + tuple(struct.pack(form, x) for x in (float("nan"), float("inf"), 1e30, -1.0) for form in ("<f", "<d"))


def mutated(data: bytes, corpus: Sequence[bytes], rng: random.Random) -> bytes:
    """One to six edits, most often few."""
    edited = bytearray(data)
    for _ in range(min(6, 1 + int(rng.expovariate(0.7)))):
        rng.choice(_EDITS)(edited, corpus, rng)
    return bytes(edited[:MAX_BYTES])


def _flip(data: bytearray, corpus: Sequence[bytes], rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _byte(data: bytearray, corpus: Sequence[bytes], rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _insert(data: bytearray, corpus: Sequence[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice(_TEXTS)


def _pack(data: bytearray, corpus: Sequence[bytes], rng: random.Random) -> None:
    packed = rng.choice(_PACKED)
    at = rng.randrange(len(data) + 1) & ~(len(packed) - 1 if rng.random() < 0.5 else 0)
    data[at : at + len(packed)] = packed


def _number(data: bytearray, corpus: Sequence[bytes], rng: random.Random) -> None:
    """Another value for one number or quoted word of a text."""
    start = rng.randrange(len(data) + 1)
    while start < len(data) and data[start] not in b'0123456789"':
        start += 1
    end = start + 1
    while end < len(data) and data[end] not in b',]} \n":':
        end += 1
    data[start:end] = rng.choice(_TEXTS)


def _cut(data: bytearray, corpus: Sequence[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    del data[at : at + (len(data) if rng.random() < 0.3 else rng.randrange(1, 64))]


def _repeat(data: bytearray, corpus: Sequence[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = data[at : at + rng.randrange(1, 128)] * rng.choice((1, 1, 2, 16))


def _splice(data: bytearray, corpus: Sequence[bytes], rng: random.Random) -> None:
    other = rng.choice(corpus)
    at, from_ = rng.randrange(len(data) + 1), rng.randrange(len(other) + 1)
    data[at:] = other[from_:]


_Edit = Callable[[bytearray, Sequence[bytes], random.Random], None]
_EDITS: tuple[_Edit, ...] = (_flip, _byte, _insert, _pack, _pack, _number, _number, _cut, _repeat, _splice)
