"""The one thing that kubectl sends in protobuf: reviews of rights (`auth can-i`, from 1.32 on). Answers may be JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvsx.sim.status import BadRequest

if TYPE_CHECKING:
    from nvsx.ports import Object

MAGIC = b"k8s\0"
_RAW, _SPEC, _RESOURCE_ATTRIBUTES = 2, 2, 1  # field numbers of runtime.Unknown, of a review, of its spec
_ATTRIBUTES = {1: "namespace", 2: "verb", 3: "group", 4: "version", 5: "resource", 6: "subresource", 7: "name"}


def review(body: bytes) -> Object:
    """The spec of a SelfSubjectAccessReview, as JSON would have it."""
    spec = _fields(_fields(_fields(body.removeprefix(MAGIC)).get(_RAW, b"")).get(_SPEC, b""))
    texts = _fields(spec.get(_RESOURCE_ATTRIBUTES, b""))
    return {
        "resourceAttributes": {_ATTRIBUTES[key]: text.decode() for key, text in texts.items() if key in _ATTRIBUTES}
    }


def _fields(message: bytes) -> dict[int, bytes]:
    """The length-delimited fields of a message by number; numbers are passed over."""
    found, at = {}, 0
    try:
        while at < len(message):
            key, at = _number(message, at)
            if key & 7 == 0:
                _, at = _number(message, at)
            elif key & 7 == 2:
                size, at = _number(message, at)
                found[key >> 3] = message[at : at + size]
                at += size
            else:
                raise BadRequest(f"wire type {key & 7} is not expected here")
    except IndexError:
        raise BadRequest("the request's body is cut off") from None
    return found


def _number(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
