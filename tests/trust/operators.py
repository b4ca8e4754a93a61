"""What a mutant is: one small change of one place of a module, in its Python or in the SQL that it says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_TURNED: dict[type[ast.AST], type[Any]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|WHERE|AND|ORDER BY|SET)\b")
_SQL_CONDITION = {
    "=": "!=", "!=": "=", "<": "<=", ">": ">=", "<=": "<", ">=": ">",
    " AND ": " OR ", " OR ": " AND ", "NOT IN": "IN", " DESC": "", "AND EXISTS": "AND NOT EXISTS",
}  # fmt: skip
_SQL_ANYWHERE = {"OR IGNORE ": "", "OR REPLACE": "OR IGNORE", "max(": "min(", " + 1": " + 2"}
_TOKEN = re.compile(r"AND EXISTS| AND | OR (?!IGNORE|REPLACE)|NOT IN| DESC|!=|<=|>=|=|<|>")
_TOKEN_ANYWHERE = re.compile(r"OR IGNORE |OR REPLACE|max\(| \+ 1")


class Mutant(NamedTuple):
    module: str
    line: int
    within: tuple[int, int]  # first and last line of the function
    where: str  # the function
    what: str
    text: str  # of the whole module

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.where}: {self.what}"


class Edit(NamedTuple):
    """Something else at one place of a node, or of a list of nodes."""

    holder: Any
    place: str | int
    new: Any

    def swap(self) -> Edit:
        """Make it, and return what takes it back."""
        if isinstance(self.place, int):
            old, self.holder[self.place] = self.holder[self.place], self.new
        else:
            old = getattr(self.holder, self.place)
            setattr(self.holder, self.place, self.new)
        return Edit(self.holder, self.place, old)


class Change(NamedTuple):
    line: int
    within: tuple[int, int]
    where: str
    what: str
    edit: Edit


Edits = Iterator[tuple[str, Edit]]


def mutants(module: str, source: str) -> list[Mutant]:
    """Every mutant of a module."""
    tree = ast.parse(source)
    found = []
    for change in list(_changes(tree)):
        back = change.edit.swap()
        found.append(Mutant(module, change.line, change.within, change.where, change.what, unchanged(tree)))
        back.swap()
    return found


def keys(module: str, source: str) -> set[tuple[str, str, str]]:
    """(module, function, change) of every mutant."""
    return {(module, change.where, change.what) for change in _changes(ast.parse(source))}


def unchanged(tree: ast.Module) -> str:
    """A module as a mutant would spell it: without comments, and with nothing changed that is not changed in `tree`."""
    return ast.unparse(ast.fix_missing_locations(tree))


def _changes(tree: ast.AST, where: str = "", line: int = 0, within: tuple[int, int] = (0, 0)) -> Iterator[Change]:
    """Each change that can be made within functions. What stands outside is data, which tests import and agree with."""
    inside = bool(where) and not isinstance(tree, ast.ClassDef)
    if inside:
        for what, edit in (*_conditions(tree), *_operators(tree), *_values(tree), *_omissions(tree, where)):
            yield Change(line, within, where, what, edit)
    for node in ast.iter_child_nodes(tree):
        at = getattr(node, "lineno", line)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            outermost = within if inside else (node.body[0].lineno, node.end_lineno or at)
            yield from _changes(node, f"{where}.{node.name}" if where else node.name, at, outermost)
        elif inside and not _says_nothing(node, tree):
            yield from _changes(node, where, at, within)


def _says_nothing(node: ast.AST, within: ast.AST) -> bool:
    """Docstrings, annotations, and fixed places of a tuple: another one crashes or is not there."""
    if node in (getattr(within, "annotation", None), getattr(within, "returns", None)):
        return True
    if isinstance(within, ast.Subscript) and isinstance(within.slice, ast.Constant) and node is within.slice:
        return True
    return isinstance(node, ast.arguments) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _conditions(node: ast.AST) -> Edits:
    if isinstance(node, ast.Compare):
        for position, op in enumerate(node.ops):
            if turned := _TURNED.get(type(op)):
                yield f"{ast.unparse(node)}: {turned.__name__}", Edit(node.ops, position, turned())
    elif isinstance(node, ast.If | ast.IfExp | ast.While) and not _is_turned_anyway(node.test):
        yield f"not ({ast.unparse(node.test)})", Edit(node, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.comprehension):
        for position, test in enumerate(node.ifs):
            if not _is_turned_anyway(test):
                yield f"not ({ast.unparse(test)})", Edit(node.ifs, position, ast.UnaryOp(ast.Not(), test))


def _operators(node: ast.AST) -> Edits:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"{ast.unparse(node)}: without not", Edit(node, "operand", ast.UnaryOp(ast.Not(), node.operand))
    elif isinstance(node, ast.BoolOp):
        yield f"{ast.unparse(node)}: {_TURNED[type(node.op)].__name__}", Edit(node, "op", _TURNED[type(node.op)]())
        for position, part in enumerate(node.values):
            if not any(isinstance(inner, ast.NamedExpr) for inner in ast.walk(part)):  # others would know no name
                rest = [*node.values[:position], *node.values[position + 1 :]]
                yield f"{ast.unparse(node)}: without {ast.unparse(part)}", Edit(node, "values", rest)
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _TURNED and not _joins_text(node):
        turned = _TURNED[type(node.op)]
        yield f"{ast.unparse(node)}: {turned.__name__}", Edit(node, "op", turned())


def _is_turned_anyway(test: ast.expr) -> bool:
    """Whether its negation is nothing, or the same as turning the one comparison that it is."""
    negated = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
    if isinstance(test, ast.Constant) or (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
        return True
    return isinstance(test, ast.Compare) and isinstance(test.ops[0], negated)


def _joins_text(node: ast.AST) -> bool:
    """Whether it is a sum of texts: no type checker would let its difference pass."""
    return isinstance(node, ast.BinOp) and any(
        isinstance(inner, ast.JoinedStr) or (isinstance(inner, ast.Constant) and isinstance(inner.value, str))
        for side in (node.left, node.right)
        for inner in ast.walk(side)
    )


def _values(node: ast.AST) -> Edits:
    if not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        yield f"not {value}", Edit(node, "value", not value)
    elif isinstance(value, int | float):
        yield f"{value} + 1", Edit(node, "value", value + 1)
    elif isinstance(value, str):
        for what, text in sql_changes(value):
            yield what, Edit(node, "value", text)


def sql_changes(sql: str) -> Iterator[tuple[str, str]]:
    """Each change of an SQL text: its conditions turned, and what it does on conflict."""
    if not _SQL.search(sql):
        return
    begin = sql.find("WHERE ") if "WHERE " in sql else (0 if sql.startswith(("AND ", " AND ")) else len(sql))
    for tokens, table, start in ((_TOKEN, _SQL_CONDITION, begin), (_TOKEN_ANYWHERE, _SQL_ANYWHERE, 0)):
        for match in tokens.finditer(sql, start):
            other = table[match[0]]
            around = sql[max(0, match.start() - 20) : match.end() + 12].strip()
            yield (
                f"SQL `{match[0].strip()}` -> `{other.strip()}` in …{around}…",
                sql[: match.start()] + other + sql[match.end() :],
            )


def _omissions(node: ast.AST, where: str) -> Edits:
    """Statements of every body that can be left out without leaving a name unknown."""
    for field in ("body", "orelse", "finalbody"):
        body = getattr(node, field, None)
        if isinstance(body, list):
            for position, statement in enumerate(body):
                if _can_be_left_out(statement, where):
                    yield f"without {ast.unparse(statement)[:70]}", Edit(body, position, ast.Pass())


def _can_be_left_out(statement: ast.stmt, where: str) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call | ast.Await)
    if isinstance(statement, ast.Assign):
        return isinstance(statement.targets[0], ast.Attribute) and not where.endswith("__init__")
    if isinstance(statement, ast.Return):
        return statement.value is None
    return isinstance(statement, ast.Raise | ast.Break | ast.Continue)
