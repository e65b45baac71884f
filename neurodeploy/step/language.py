"""Grammar of the step language: from text to a tree of six node types, or a refusal with line and column."""

import ast
import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from neurodeploy.errors import Fault, Refusal

NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]*\Z")
MAX_BITS = 63

# operator -> sorts of the arguments: n number, c condition, w width literal, * any number (two or more) of numbers
_SHARED = {
    "add": "nn",
    "sub": "nn",
    "mul": "nn",
    "neg": "n",
    "min": "*",
    "max": "*",
    "abs": "n",
    "clip": "nnn",
    "select": "cnn",
    "lt": "nn",
    "le": "nn",
    "gt": "nn",
    "ge": "nn",
    "eq": "nn",
    "ne": "nn",
    "and": "cc",
    "or": "cc",
    "not": "c",
}
INTEGER: Mapping[str, str] = _SHARED | {
    "floordiv": "nn",
    "shl": "nn",
    "shr": "nn",
    "sat": "nw",
    "wrap": "nw",
    "shift_to_zero": "nn",
    "round_half_even": "nn",
    "scale2": "nn",
}
FLOAT: Mapping[str, str] = _SHARED | {
    "div": "nn",
    "exp": "n",
    "exp2": "n",
    "expm1": "n",
    "log2": "n",
    "round": "n",
    "floor": "n",
    "detach": "n",
    "above": "nn",
    "at_or_above": "nn",
    "count": "nn",
    "count_above": "nn",
}
CONDITIONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"})
_SPELLED = frozenset({"add", "sub", "mul", "neg", "select", "floordiv", "shl", "shr", "div"}) | CONDITIONS

_BINARY = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.FloorDiv: "floordiv",
    ast.LShift: "shl",
    ast.RShift: "shr",
    ast.Div: "div",
}
_COMPARE = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne"}


@dataclass(frozen=True, slots=True)
class Const:
    """A literal."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Name:
    """A state, a parameter, something the handler is given, or a name assigned before."""

    id: str
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """An operator or function with its arguments."""

    op: str
    args: tuple["Expression", ...]
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)


Expression = Const | Name | Call


@dataclass(frozen=True, slots=True)
class Assign:
    """``name = value``."""

    name: str
    value: Expression
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Guard:
    """``if condition:`` with its body."""

    condition: Expression
    body: tuple["Statement", ...]
    line: int = field(default=0, compare=False)


Statement = Assign | Guard


@dataclass(frozen=True, slots=True)
class Text:
    """A parsed step text. ``source`` is what was written, ``where`` the place that names it in messages."""

    statements: tuple[Statement, ...]
    source: str = field(default="", compare=False)
    where: str = field(default="", compare=False)

    def line(self, number: int) -> str:
        """Return one line of the source, counted from 1, without indentation or comment."""
        return self.source.splitlines()[number - 1].split("#")[0].strip()


def assigned(statements: tuple[Statement, ...]) -> Iterator[Assign]:
    """All assignments, guarded ones included, in the order of the text."""
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement
        else:
            yield from assigned(statement.body)


def parse(
    source: str,
    functions: Mapping[str, str] | None = None,
    *,
    operators: Mapping[str, str] = INTEGER,
    flags: Mapping[str, bool] | None = None,
    where: str = "step text",
) -> Text:
    """Parse a step text.

    source : the text
    functions : macros, ``{"dash(x, d)": "expression"}``
    operators : INTEGER or FLOAT
    flags : options that may stand as conditions; resolved here
    Raises Refusal (ND1001, ND1003) with line, column and what is allowed.
    """
    return _Parser(functions or {}, operators, flags or {}, where).text(source)


def parse_expression(
    source: str, functions: Mapping[str, str] | None = None, *, operators: Mapping[str, str], where: str
) -> Expression:
    """Parse a single number, for instance a formula of a limit."""
    return _Parser(functions or {}, operators, {}, where).expression(source)


def _integer(node: ast.AST) -> int | None:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    return None


class _Parser:
    def __init__(
        self, functions: Mapping[str, str], operators: Mapping[str, str], flags: Mapping[str, bool], where: str
    ) -> None:
        self.operators, self.flags, self.where = operators, flags, where
        self.macros: dict[str, tuple[tuple[str, ...], str]] = {}
        for head, body in functions.items():
            self.macros.update([self._macro_head(head, body)])
        self.open: list[str] = []
        self.arguments: list[dict[str, Expression]] = []

    def refuse(self, node: ast.AST | None, was: str, allowed: str, code: str = "ND1001") -> Refusal:
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
        where = f"{self.where}, line {line}, column {column}"
        return Refusal(Fault(code, where, was, f"allowed: {allowed}", "", {"line": line, "column": column}))

    def _tree(self, source: str, mode: str) -> ast.AST:
        try:
            return ast.parse(source, mode=mode)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line, column = getattr(error, "lineno", 1) or 1, getattr(error, "offset", 1) or 1
            where = f"{self.where}, line {line}, column {column}"
            message = getattr(error, "msg", None) or str(error) or type(error).__name__
            raise Refusal(
                Fault(
                    "ND1001",
                    where,
                    message,
                    "allowed: assignments and `if condition:` guards, one per line",
                    "",
                    {"line": line, "column": column},
                )
            ) from None

    def _macro_head(self, head: str, body: str) -> tuple[str, tuple[tuple[str, ...], str]]:
        tree = self._tree(head, "eval")
        call = tree.body if isinstance(tree, ast.Expression) else None
        if (
            not isinstance(call, ast.Call)
            or not isinstance(call.func, ast.Name)
            or call.keywords
            or not all(isinstance(a, ast.Name) for a in call.args)
        ):
            raise self.refuse(None, f"function head {head!r}", "a name and its arguments, for instance dash(x, d)")
        names = tuple(a.id for a in call.args if isinstance(a, ast.Name))
        for name in (call.func.id, *names):
            self._legal(name, call)
        if len(set(names)) != len(names):
            raise self.refuse(None, f"function head {head!r}", "arguments with different names")
        return call.func.id, (names, body)

    def _legal(self, name: str, node: ast.AST) -> str:
        taken = (name in self.operators and name not in _SPELLED) or name in self.flags
        if not NAME_PATTERN.match(name) or keyword.iskeyword(name) or taken:
            raise self.refuse(
                node, f"name {name!r}", "lower case letters, digits and _, first a letter, no keyword and no function"
            )
        return name

    def text(self, source: str) -> Text:
        tree = self._tree(source, "exec")
        body = tree.body if isinstance(tree, ast.Module) else []
        try:
            return Text(tuple(self._block(body)), source, self.where)
        except RecursionError:
            raise self.refuse(None, "an expression nested too deeply", "about 100 levels of brackets") from None

    def expression(self, source: str) -> Expression:
        tree = self._tree(source.strip(), "eval")
        if not isinstance(tree, ast.Expression):
            raise self.refuse(None, "a statement", "one expression")
        return self._number(tree.body)

    def _block(self, body: list[ast.stmt]) -> Iterator[Statement]:
        for node in body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                name = self._legal(node.targets[0].id, node)
                if name in self.macros:
                    raise self.refuse(node, f"name {name!r}", "a name that is not a function")
                yield Assign(name, self._number(node.value), node.lineno)
            elif isinstance(node, ast.If) and not node.orelse:
                static = self._static(node.test)
                if static is None:
                    yield Guard(self._condition(node.test), tuple(self._block(node.body)), node.lineno)
                elif static:
                    yield from self._block(node.body)
            else:
                what = "an else branch" if isinstance(node, ast.If) else f"a {type(node).__name__} statement"
                raise self.refuse(node, what, "`name = number` and `if condition:` without else")

    def _static(self, node: ast.expr) -> bool | None:
        """Value of a condition that consists of flags, None for any other."""
        if isinstance(node, ast.Name) and node.id in self.flags:
            return self.flags[node.id]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            value = self._static(node.operand)
            return None if value is None else not value
        if isinstance(node, ast.BoolOp):
            values = [self._static(v) for v in node.values]
            if None in values:
                return None
            return all(values) if isinstance(node.op, ast.And) else any(values)
        return None

    def _condition(self, node: ast.expr) -> Expression:
        line, column = node.lineno, node.col_offset + 1
        if isinstance(node, ast.Compare):
            if len(node.ops) != 1:
                raise self.refuse(node, "a chained comparison", "one comparison; join two with `and`")
            op = _COMPARE.get(type(node.ops[0]))
            if op is None:
                raise self.refuse(node, f"comparison {type(node.ops[0]).__name__}", "< <= > >= == !=")
            return Call(op, (self._number(node.left), self._number(node.comparators[0])), line, column)
        if isinstance(node, ast.BoolOp):
            op = "and" if isinstance(node.op, ast.And) else "or"
            result = self._condition(node.values[0])
            for value in node.values[1:]:
                result = Call(op, (result, self._condition(value)), line, column)
            return result
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return Call("not", (self._condition(node.operand),), line, column)
        raise self.refuse(node, "a number where a condition belongs", "a comparison, `and`, `or`, `not`")

    def _number(self, node: ast.expr) -> Expression:
        line, column = node.lineno, node.col_offset + 1
        if isinstance(node, ast.Constant):
            return self._literal(node)
        if isinstance(node, ast.Name):
            if self.arguments and node.id in self.arguments[-1]:
                return self.arguments[-1][node.id]
            if self.arguments:
                raise self.refuse(node, f"name {node.id!r} in function {self.open[-1]}", "its arguments alone")
            return Name(self._legal(node.id, node), line, column)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self._number(node.operand)
            return Const(-value.value) if isinstance(value, Const) else Call("neg", (value,), line, column)
        if isinstance(node, ast.BinOp):
            op = _BINARY.get(type(node.op), "")
            if op not in self.operators:
                raise self.refuse(node, f"operator {type(node.op).__name__}", self._operator_list())
            return Call(op, (self._number(node.left), self._number(node.right)), line, column)
        if isinstance(node, ast.IfExp):
            static = self._static(node.test)
            if static is not None:
                return self._number(node.body if static else node.orelse)
            parts = (self._condition(node.test), self._number(node.body), self._number(node.orelse))
            return Call("select", parts, line, column)
        if isinstance(node, ast.Call):
            return self._call(node)
        what = "a condition" if isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp) else type(node).__name__
        raise self.refuse(node, f"{what} where a number belongs", "a literal, a name, an operator or a function")

    def _operator_list(self) -> str:
        spelled = {"add": "+", "sub": "-", "mul": "*", "floordiv": "//", "shl": "<<", "shr": ">>", "div": "/"}
        return " ".join(sign for op, sign in spelled.items() if op in self.operators)

    def _literal(self, node: ast.Constant) -> Const:
        if type(node.value) is int or (type(node.value) is float and "div" in self.operators):
            return Const(node.value)
        allowed = "integers and decimals" if "div" in self.operators else "integers"
        raise self.refuse(node, f"literal {node.value!r}", allowed)

    def _call(self, node: ast.Call) -> Expression:
        line, column = node.lineno, node.col_offset + 1
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        plain = [a for a in node.args if not isinstance(a, ast.Starred)]
        if node.keywords or len(plain) != len(node.args):
            raise self.refuse(node, f"arguments of {name or 'a call'}", "plain arguments, in order")
        if name in self.macros:
            return self._expand(name, node)
        if name not in self.operators or name in _SPELLED:
            known = sorted((set(self.operators) - _SPELLED) | set(self.macros))
            raise self.refuse(node, f"function {name or ast.unparse(node.func)!r}", ", ".join(known))
        sorts = self.operators[name]
        if sorts == "*":
            if len(plain) < 2:
                raise self.refuse(node, f"{name} of {len(plain)} argument(s)", "two or more")
            result = self._number(plain[0])
            for argument in plain[1:]:
                result = Call(name, (result, self._number(argument)), line, column)
            return result
        if len(plain) != len(sorts):
            raise self.refuse(node, f"{name} with {len(plain)} argument(s)", f"{len(sorts)}")
        if sorts[-1] == "w":
            bits = _integer(plain[-1])
            if bits is None or not 1 <= bits <= MAX_BITS:
                raise self.refuse(plain[-1], "the width", f"an integer literal from 1 to {MAX_BITS}", "ND1003")
        return Call(name, tuple(self._number(a) for a in plain), line, column)

    def _expand(self, name: str, node: ast.Call) -> Expression:
        names, body = self.macros[name]
        if len(names) != len(node.args):
            raise self.refuse(node, f"{name} with {len(node.args)} argument(s)", f"{len(names)}")
        if name in self.open:
            raise self.refuse(node, f"function {name} that calls itself", "functions without recursion")
        given = dict(zip(names, (self._number(a) for a in node.args), strict=True))
        tree = self._tree(body.strip(), "eval")
        self.open.append(name)
        self.arguments.append(given)
        try:
            expanded = self._number(tree.body) if isinstance(tree, ast.Expression) else Const(0)
        finally:
            self.open.pop()
            self.arguments.pop()
        # the call stands where the user wrote it, not where the macro's body has it
        return _moved(expanded, node.lineno, node.col_offset + 1)


def _moved(expression: Expression, line: int, column: int) -> Expression:
    if isinstance(expression, Call):
        return Call(expression.op, tuple(_moved(a, line, column) for a in expression.args), line, column)
    return expression
