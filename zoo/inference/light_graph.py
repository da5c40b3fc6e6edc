"""A compiled model without its further outputs, cut out of the file's bytes: prediction needs no package `onnx`.

A CUDA graph cannot hold the branch in which they are (see `zoo_onnx.uncertainty`). Field numbers are those of
onnx.proto (ModelProto.graph 7; GraphProto.node 1, initializer 5, input 11, output 12; NodeProto.name 3,
ValueInfoProto.name 1, TensorProto.name 8), the encoding that of protocol buffers.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["BRANCH", "without_extras"]

BRANCH = "uncertainty"
"""Name of the node with the further outputs, and of the input that turns them off."""

_GRAPH = 7
_NAME_OF = {1: 3, 5: 8, 11: 1, 12: 1}
"""Fields of a graph that are looked at, and the field in which each has its name."""
_OUTPUT = 12


def without_extras(model: bytes, kept: tuple[str, ...]) -> bytes:
    """Return a model without the branch of further outputs, its input, and all outputs but `kept`."""
    return b"".join(
        _wrapped(_GRAPH, _light(value, kept)) if number == _GRAPH else raw for number, value, raw in _fields(model)
    )


def _light(graph: bytes, kept: tuple[str, ...]) -> bytes:
    def stays(number: int, value: bytes) -> bool:
        if number not in _NAME_OF:
            return True
        name = next((own.decode() for field, own, _ in _fields(value) if field == _NAME_OF[number]), "")
        return name in kept if number == _OUTPUT else name != BRANCH

    return b"".join(raw for number, value, raw in _fields(graph) if stays(number, value))


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield number, content and the whole of each field; the content of a number is empty."""
    start = 0
    while start < len(message):
        key, at = _varint(message, start)
        kind, begun = key & 7, at
        if kind == 2:
            length, begun = _varint(message, at)
            at = begun + length
        elif kind == 0:
            _, at = _varint(message, at)
        else:
            at += {1: 8, 5: 4}[kind]
        yield key >> 3, message[begun:at] if kind == 2 else b"", message[start:at]
        start = at


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _wrapped(number: int, content: bytes) -> bytes:
    length, head = len(content), bytearray([number << 3 | 2])
    while True:
        head.append(length & 127 | (128 if length > 127 else 0))
        length >>= 7
        if not length:
            return bytes(head) + content
