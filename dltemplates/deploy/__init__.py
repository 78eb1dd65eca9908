"""From a serving model to files in every format, each checked in its own runtime before it counts."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _ExportPackage(ModuleType):
    """This package, called as the function `dltemplates.export`, whose name it has."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from dltemplates.deploy.export_run import export

        return export(*args, **kwargs)


sys.modules[__name__].__class__ = _ExportPackage
