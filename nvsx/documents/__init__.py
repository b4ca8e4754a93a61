"""The door to YAML and JSON Schema: text in, plain data with places out, and everything that is wrong with it."""

from __future__ import annotations

from nvsx.documents.checking import piece, problems
from nvsx.documents.files import load_document, read_bounded
from nvsx.documents.reading import read_head, read_yaml

__all__ = ["load_document", "piece", "problems", "read_bounded", "read_head", "read_yaml"]
