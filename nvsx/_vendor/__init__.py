"""Home of the libraries inside the archive, apart from the host's, and of the finder for the archive's modules.

build.py puts the libraries here with their imports rewritten; in a checkout nothing imports this package. The bytecode
of a library, and of each package of nvsx, is one entry (`yaml.bundle`), because opening a hundred entries of a zip
costs more than opening one. A Python that was not known at build time finds bundles of sources instead.
"""

from __future__ import annotations

import marshal
import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


class Bundles:
    """Finds and loads modules of nvsx in `PACKAGE.bundle`: marshalled {module's full name: (is package, content)}.

    `compiled`: the contents are marshalled code, otherwise sources.
    """

    def __init__(self, directory: str, archive: Any, *, compiled: bool) -> None:
        self._directory = directory
        self._archive = archive
        self._compiled = compiled
        self._open: dict[str, dict[str, tuple[bool, bytes]]] = {}

    def find_spec(self, fullname: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        if not fullname.startswith("nvsx."):
            return None
        modules = self._modules(fullname)
        return ModuleSpec(fullname, self, is_package=modules[fullname][0]) if fullname in modules else None  # type: ignore[arg-type]

    def create_module(self, _spec: ModuleSpec) -> None:
        """Ask for an ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        is_package, content = self._modules(module.__name__)[module.__name__]
        if self._compiled:
            code = marshal.loads(content)  # noqa: S302 - from the archive that is running
        else:
            file = module.__name__.replace(".", "/") + ("/__init__.py" if is_package else ".py")
            code = compile(content, f"nvsx.pyz/{file}", "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102

    def source(self, fullname: str) -> str:
        """The text of a module; OSError or KeyError where there is none."""
        return self._modules(fullname)[fullname][1].decode()

    def _modules(self, fullname: str) -> dict[str, tuple[bool, bytes]]:
        words = fullname.split(".")
        bundle = "/".join(words[1:3] if words[1] == "_vendor" else words[1:2])
        if bundle not in self._open:
            try:
                data = self._archive.get_data(f"{self._directory}/{bundle}.bundle")
            except OSError:
                data = marshal.dumps({})
            self._open[bundle] = marshal.loads(data)  # noqa: S302
        return self._open[bundle]


_loader = __spec__.loader if __spec__ else None
if hasattr(_loader, "archive"):
    # First of all: a checkout that is installed on this host for development has a finder of its own for `nvsx`.
    _here, _, _name = __file__.rpartition("/_vendor/")
    _sources = f"{_here.rpartition('/')[0].rpartition('/')[0]}/src/nvsx"
    sys.meta_path.insert(0, Bundles(_sources, _loader, compiled=False))  # of what is started rarely, they are all
    if _name.endswith(".pyc"):
        sys.meta_path.insert(0, Bundles(_here, _loader, compiled=True))
