"""What osqueryd answers over Thrift, read as bytes: a column's value is a file's name as often as not, and need not be UTF-8. Pure.

The classes that the ``osquery`` package generates decode strictly: one such name and the whole answer is lost. (Its accelerated
decoder, made for another Thrift, cannot read them at all.) These say BINARY where those say UTF8, and serve both decoders.
Field numbers and types: osquery's extensions.thrift.
"""

from typing import Any, NamedTuple

from thrift.protocol.TBase import TBase
from thrift.Thrift import TType

__all__ = ["ExtensionInfo", "ExtensionsReply", "OptionsReply", "QueryReply", "render_text"]


class ExtensionInfo(NamedTuple):
    """One that is registered with osqueryd; the one with ``uuid`` 0 is osqueryd itself."""

    uuid: int
    name: str
    version: str
    sdk_version: str
    min_sdk_version: str


def render_text(value: bytes | None) -> str:
    r"""Decode as Python decodes file names: a byte that is no UTF-8 becomes a lone surrogate, and encoding gives it back.

    >>> render_text(b"/srv/bad\xff"), render_text("/srv/ü".encode()), render_text(None)
    ('/srv/bad\udcff', '/srv/ü', '')
    """
    return (value or b"").decode("utf-8", "surrogateescape")


class _Struct(TBase):  # type: ignore[misc]  # thrift ships no types
    """A struct of Thrift: its fields are its slots, ``None`` until read."""

    __slots__: tuple[str, ...] = ()

    def __init__(self, **values: Any) -> None:
        for name in self.__slots__:
            setattr(self, name, values.get(name))


class _Status(_Struct):
    __slots__ = ("code", "message", "uuid")
    thrift_spec = (
        None,
        (1, TType.I32, "code", None, None),
        (2, TType.STRING, "message", "BINARY", None),
        (3, TType.I64, "uuid", None, None),
    )


class _Response(_Struct):
    __slots__ = ("response", "status")
    thrift_spec = (
        None,
        (1, TType.STRUCT, "status", [_Status, _Status.thrift_spec], None),
        (2, TType.LIST, "response", (TType.MAP, (TType.STRING, "BINARY", TType.STRING, "BINARY", False), False), None),
    )


class _Extension(_Struct):
    __slots__ = ("min_sdk_version", "name", "sdk_version", "version")
    thrift_spec = (
        None,
        (1, TType.STRING, "name", "BINARY", None),
        (2, TType.STRING, "version", "BINARY", None),
        (3, TType.STRING, "sdk_version", "BINARY", None),
        (4, TType.STRING, "min_sdk_version", "BINARY", None),
    )


class _Option(_Struct):
    __slots__ = ("default_value", "type", "value")
    thrift_spec = (
        None,
        (1, TType.STRING, "value", "BINARY", None),
        (2, TType.STRING, "default_value", "BINARY", None),
        (3, TType.STRING, "type", "BINARY", None),
    )


class QueryReply(_Struct):
    """The answer to ``query`` and ``getQueryColumns``: a status, and rows of texts."""

    __slots__ = ("success",)
    thrift_spec = ((0, TType.STRUCT, "success", [_Response, _Response.thrift_spec], None),)

    @property
    def status(self) -> tuple[int, str] | None:
        """The code and words of osqueryd, or ``None`` where it sent none: then it is none of osquery's answers."""
        status = self.success.status
        return None if not status or status.code is None else (status.code, render_text(status.message))

    def rows(self) -> list[dict[str, str]]:
        """Give the rows, each with its columns in the order sent."""
        names: dict[bytes, str] = {}
        rows: list[dict[bytes, bytes]] = self.success.response or []
        for row in rows:
            for name in row:
                if name not in names:
                    names[name] = render_text(name)
        return [{names[name]: value.decode("utf-8", "surrogateescape") for name, value in row.items()} for row in rows]


class ExtensionsReply(_Struct):
    """The answer to ``extensions``."""

    __slots__ = ("success",)
    thrift_spec = (
        (0, TType.MAP, "success", (TType.I64, None, TType.STRUCT, [_Extension, _Extension.thrift_spec], False), None),
    )

    def extensions(self) -> tuple[ExtensionInfo, ...]:
        """Give what is registered, by number."""
        fields = ExtensionInfo._fields[1:]
        registered: dict[int, Any] = self.success
        return tuple(
            ExtensionInfo(uuid, *(render_text(getattr(one, field)) for field in fields)) for uuid, one in sorted(registered.items())
        )


class OptionsReply(_Struct):
    """The answer to ``options``."""

    __slots__ = ("success",)
    thrift_spec = (
        (0, TType.MAP, "success", (TType.STRING, "BINARY", TType.STRUCT, [_Option, _Option.thrift_spec], False), None),
    )

    def flags(self) -> dict[str, str]:
        """Give each flag's value as it is now."""
        options: dict[bytes, Any] = self.success
        return {render_text(name): render_text(one.value) for name, one in sorted(options.items())}
