"""Colour profiles that tests put into pictures."""

import struct


def icc(space, tags):
    """The smallest ICC profile (version 2, display) that holds the given tags."""
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    header = struct.pack(
        ">I4sI4s4s4s12s4s28x3I48x",
        offset + len(body),
        b"test",
        0x02100000,
        b"mntr",
        space,
        b"XYZ ",
        bytes(12),
        b"acsp",
        *(63190, 65536, 54061),
    )
    return header + struct.pack(">I", len(tags)) + table + body


def xyz(*values):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * value) for value in values))


WHITE = xyz(0.9642, 1.0, 0.8249)
GAMMA_1 = b"curv\0\0\0\0" + struct.pack(">IH", 1, 256)
NAMED = b"desc\0\0\0\0" + struct.pack(">I", 12) + b"linear sRGB\0" + bytes(79)
LINEAR_GRAY = icc(b"GRAY", {b"desc": NAMED, b"wtpt": WHITE, b"kTRC": GAMMA_1})
# sRGB's primaries, adapted to D50, without its curve: the name says sRGB, the values do not.
LINEAR_RGB = icc(
    b"RGB ",
    {
        b"desc": NAMED,
        b"wtpt": WHITE,
        b"rXYZ": xyz(0.4361, 0.2225, 0.0139),
        b"gXYZ": xyz(0.3851, 0.7169, 0.0971),
        b"bXYZ": xyz(0.1431, 0.0606, 0.7141),
        b"rTRC": GAMMA_1,
        b"gTRC": GAMMA_1,
        b"bTRC": GAMMA_1,
    },
)
