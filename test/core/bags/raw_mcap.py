# SPDX-License-Identifier: Apache-2.0
"""MCAP files byte by byte, for what no writer would write."""

import struct


def mcap_bytes(channels, profile="", schemas=None, compress=None):
    """A minimal MCAP file without index: channels are (topic, schema, encoding, [(stamp_ns, payload)]).

    schemas: name -> the schema's own bytes. compress: (name, function) puts all into one compressed chunk.
    """

    def text(value):
        return struct.pack("<I", len(value)) + value.encode()

    def record(op, content):
        return struct.pack("<BQ", op, len(content)) + content

    out = b""
    for number, (topic, schema, encoding, messages) in enumerate(channels, 1):
        definition = (schemas or {}).get(schema, b"")
        definition = struct.pack("<I", len(definition)) + definition
        out += record(3, struct.pack("<H", number) + text(schema) + text(encoding) + definition)
        out += record(4, struct.pack("<HH", number, number) + text(topic) + text(encoding) + struct.pack("<I", 0))
        for stamp_ns, payload in messages:
            out += record(5, struct.pack("<HIQQ", number, 0, stamp_ns, stamp_ns) + bytes(payload))
    if compress:
        packed = compress[1](out)
        sizes = struct.pack("<QQQI", 0, 2**63, len(out), 0)
        out = record(6, sizes + text(compress[0]) + struct.pack("<Q", len(packed)) + packed)
    out = b"\x89MCAP0\r\n" + record(1, text(profile) + text("test")) + out
    return out + record(15, bytes(4)) + record(2, bytes(20)) + b"\x89MCAP0\r\n"
