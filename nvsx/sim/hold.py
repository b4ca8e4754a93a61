"""A network of a rehearsal's own, where the kernel gives one: nothing that a hook starts can reach any other.

In it every address leads to this machine's catcher, which notes where a connection was to go and closes it. Names are
answered there, too, so that the note has the name. Processes enter it through `nsenter`; where that or the kernel's
permission is missing, a rehearsal holds only what goes by the PATH or by a proxy.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from typing import TYPE_CHECKING

from nvsx.cluster.processes import CannotStart, LongProcess, open_stream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PORTS = (25, 80, 443, 465, 587, 8080, 8443, 9093)
"""Where connections are taken and noted. To others they are refused, which holds them as well."""
_PATIENCE_S = 5.0
_DEEP = 80

# Standard library alone; runs in the namespace that it makes, until its stdin ends.
HELPER = '''"""Catches what a rehearsal's hooks would send, in a network of their own. Written by nvsx."""
import ctypes, fcntl, os, selectors, socket, struct, sys

NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000
REFUSAL = b"HTTP/1.1 502 held back by a rehearsal\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n"
names = {}

def enter():
    """A network namespace; root needs no user namespace for it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0 and libc.unshare(NEW_NETWORK) == 0:
        return "net"
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(NEW_USER | NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    return "user"

def raise_loopback():
    """Bring lo up, and make every IPv4 address one of this machine's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        fcntl.ioctl(link, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))
    route = struct.pack("BBBBBBBBI", socket.AF_INET, 0, 0, 0, 255, 3, 254, 2, 0)
    route += struct.pack("HHI", 8, 4, socket.if_nametoindex("lo"))
    head = struct.pack("IHHII", 16 + len(route), 24, 0x1 | 0x4 | 0x400, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(head + route)
        kernel.recv(4096)

def note(method, target, by):
    with open(sys.argv[1], "a", encoding="utf-8") as log:
        log.write(f"{method}\\t{target}\\t(held back{by})\\n".replace("\\r", " "))

def name_of(address):
    return names.get(address, address)

def answer_name(server):
    """Give every name an address of its own in 198.18.0.0/15, which is nobody's."""
    query, asker = server.recvfrom(4096)
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
        at += query[at] + 1
    kind = struct.unpack("!H", query[at + 1:at + 3])[0]
    name = ".".join(labels)
    known = {held: address for address, held in names.items()}
    address = known.get(name) or f"198.18.{len(names) // 250}.{len(names) % 250 + 1}"
    names[address] = name
    reply = query[:2] + struct.pack("!HHHHH", 0x8180, 1, int(kind == 1), 0, 0) + query[12:at + 5]
    if kind == 1:
        reply += struct.pack("!HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(address)
    server.sendto(reply, asker)

def take(server, proxy):
    """Note where one connection was to go, and close it with an answer that no sender takes for success."""
    connection, _ = server.accept()
    with connection:
        address, port = connection.getsockname()[:2]
        connection.settimeout(1.0)
        try:
            first = connection.recv(4096)
        except OSError:
            first = b""
        words = first.split(b"\\r\\n", 1)[0].decode("latin-1").replace("\\t", " ").split()
        method, target = (words + ["", ""])[:2]
        spoken = method.isalpha() and method.isupper() and len(words) > 2
        if proxy and not spoken:
            return
        if not spoken:
            note("CONNECT", f"{name_of(address)}:{port}", "")
        else:
            whole = "://" in target or method == "CONNECT"
            where = target if whole else f"http://{name_of(address)}:{port}{target}"
            note(method, where, " by the proxy" if proxy else "")
            connection.sendall(REFUSAL)

def main():
    nvsx = socket.socket(socket.AF_UNIX)
    nvsx.connect(sys.argv[2])
    way = enter()
    raise_loopback()
    selector = selectors.DefaultSelector()
    proxy = socket.create_server(("127.0.0.1", 0))
    selector.register(proxy, selectors.EVENT_READ, lambda: take(proxy, True))
    for port in map(int, sys.argv[3:]):
        try:
            server = socket.create_server(("0.0.0.0", port), backlog=64)
        except OSError:
            continue
        selector.register(server, selectors.EVENT_READ, lambda server=server: take(server, False))
    resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    resolver.bind(("0.0.0.0", 53))
    selector.register(resolver, selectors.EVENT_READ, lambda: answer_name(resolver))
    selector.register(sys.stdin, selectors.EVENT_READ, lambda: sys.exit(0))
    served = socket.create_server(("127.0.0.1", 0), backlog=128)
    socket.send_fds(nvsx, [f"{way} {proxy.getsockname()[1]}".encode()], [served.fileno()])
    served.close()
    while True:
        for key, _ in selector.select():
            try:
                key.data()
            except (OSError, IndexError, struct.error):
                pass

main()
'''


class Hold:
    """The network while it is entered. `prefix` goes before a command line to start it inside; `listening` is a socket
    that listens there, for a server of ours.

    `why_not` says why there is none; then `prefix` is empty.
    """

    def __init__(self, directory: Path, log: Path, environment: Mapping[str, str]) -> None:
        self.prefix: list[str] = []
        self.port = 0
        self.listening: socket.socket | None = None
        self.why_not = ""
        self._directory = directory
        self._log = log
        self._environment = environment
        self._helper: LongProcess | None = None

    async def __aenter__(self) -> Hold:
        nsenter = shutil.which("nsenter", path=f"{os.defpath}:/usr/sbin:/sbin")
        if not nsenter:
            self.why_not = "there is no nsenter (util-linux) here"
            return self
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        script = self._directory / "hold.py"
        script.write_text(HELPER, encoding="utf-8")
        # Not below our own directory, nor a deep one for temporary files: a socket's path may have 107 bytes.
        base = tempfile.gettempdir() if len(tempfile.gettempdir()) < _DEEP else "/tmp"  # noqa: S108 - mkdtemp's own
        with tempfile.TemporaryDirectory(prefix="nvsx-", dir=base) as private, socket.socket(socket.AF_UNIX) as door:
            path = f"{private}/door"
            door.bind(path)
            door.listen(1)
            door.settimeout(_PATIENCE_S)
            words = [sys.executable, "-I", "-S", str(script), str(self._log), path, *map(str, PORTS)]
            try:
                self._helper = open_stream(words, env=dict(self._environment), cwd=private, writable=True)
                way, port = self._received(door)
            except (CannotStart, OSError, ValueError):
                self.why_not = "the kernel gives this user no network of its own"
                await self._end()
                return self
        self.port = int(port)
        user = ["--user", "--preserve-credentials"] if way == "user" else []
        self.prefix = [nsenter, "--target", str(self._helper.pid), *user, "--net", "--"]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def _end(self) -> None:
        if self.listening is not None:
            self.listening.close()
        if self._helper is not None:
            await self._helper.close()
            self._helper = None

    def _received(self, door: socket.socket) -> tuple[str, str]:
        """What the helper says once it is inside, and its socket. It takes milliseconds, in real time."""
        connection, _ = door.accept()
        with connection:
            connection.settimeout(_PATIENCE_S)
            said, descriptors, *_ = socket.recv_fds(connection, 64, 1)
        for descriptor in descriptors:
            self.listening = socket.socket(fileno=descriptor)
        way, port = said.decode().split()
        return way, port
