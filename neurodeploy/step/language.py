"""Grammar of the step language: from text to a tree, or a refusal with line and column."""

import ast
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from typing import NamedTuple

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.step.operators import BINARY, COMPARE, FLOAT, INTEGER, PYTHON_WORDS, SIGNS, SPELLED
from neurodeploy.step.tree import Assign, Call, Const, Expression, Guard, Name, Statement, Text, measure, source_lines

__all__ = ["FLOAT", "INTEGER", "Assign", "Call", "Const", "Expression", "Guard", "Name", "Statement", "Text"]
__all__ += ["parse", "parse_expression"]

NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]*\Z")
MAX_BITS = 63
MAX_DEPTH = 100  # levels of an expression, so that no walk over a tree meets Python's recursion limit
MAX_SIZE = 10_000  # operators of an expression, macro calls of a text: macros of macros must not multiply without end


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
    functions : macros, ``{"dash(x, d)": "expression"}``; checked even where the text does not call them
    operators : INTEGER or FLOAT
    flags : options that may stand as conditions; resolved here
    Raises Refusal (ND1001, ND1003) with line, column and what is allowed: the first fault of every line.
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


def _said(node: ast.AST) -> str:
    return PYTHON_WORDS.get(type(node), f"{type(node).__name__} of Python")


class _Macro(NamedTuple):
    """A function of the chip's own."""

    head: str
    names: tuple[str, ...]
    body: ast.expr


class _Open(NamedTuple):
    """A macro call that is being expanded, and where the outermost one stands in the text."""

    name: str
    head: str
    arguments: Mapping[str, Expression]
    line: int
    column: int


class _Parser:
    def __init__(
        self, functions: Mapping[str, str], operators: Mapping[str, str], flags: Mapping[str, bool], where: str
    ) -> None:
        self.operators, self.flags, self.where = operators, flags, where
        self.macros: dict[str, _Macro] = {}
        self.open: list[_Open] = []  # outermost first
        self.calls = 0  # of macros
        self.line = 0  # last line of the statement before
        self.faults: list[Fault] = []
        for head, body in functions.items():
            with self._collecting(None):
                self._define(head, body)
        raise_if(self.faults)
        for name, macro in self.macros.items():
            with self._collecting(None):
                self._substitute(name, {n: Name(n) for n in macro.names}, None)
        raise_if(self.faults)

    @contextmanager
    def _collecting(self, node: ast.AST | None) -> Iterator[None]:
        """One fault ends what stands inside, and the next line or function is read."""
        try:
            yield
        except Refusal as refusal:
            self.faults.extend(refusal.faults)
        except RecursionError:
            self.faults.extend(self._too_large(node).faults)
        self.open.clear()

    def refuse(self, node: ast.AST | None, was: str, allowed: str, code: str = "ND1001") -> Refusal:
        return self._refuse(getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1, was, allowed, code)

    def _refuse(self, line: int, column: int, was: str, allowed: str, code: str = "ND1001") -> Refusal:
        inside = f", function {self.open[-1].head}" if self.open else ""
        where = f"{self.where}{inside}, line {line}, column {column}"
        return Refusal(Fault(code, where, was, f"allowed: {allowed}", "", {"line": line, "column": column}))

    def _place(self, node: ast.expr) -> tuple[int, int]:
        """Line and column for messages: what a macro brings stands where the text calls it."""
        return (self.open[-1].line, self.open[-1].column) if self.open else (node.lineno, node.col_offset + 1)

    def _tree(self, source: str, mode: str) -> ast.AST:
        # Python reads other letters as the ASCII ones that they resemble: two names on paper would be one here
        for number, text in enumerate(source_lines(source), start=1):
            for column, character in enumerate(text.split("#")[0], start=1):
                if not character.isascii():
                    raise self._refuse(number, column, f"character {character!r}", "ASCII, except in comments")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # "1if x" is a warning of Python's; here it is refused
                return ast.parse(source, mode=mode)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line, column = getattr(error, "lineno", 1) or 1, getattr(error, "offset", 1) or 1
            deep = isinstance(error, RecursionError | MemoryError)
            message = "an expression nested too deeply" if deep else getattr(error, "msg", None) or str(error)
            allowed = "`name = number` and `if condition:`, one per line"
            raise self._refuse(line, column, message, allowed) from None

    def _expression(self, source: str) -> ast.expr:
        tree = self._tree(source.strip(), "eval")
        assert isinstance(tree, ast.Expression)  # noqa: S101 - what ast.parse returns for this mode
        return tree.body

    def _define(self, head: str, body: str) -> None:
        call = self._expression(head)
        what = f"function head {head!r}"
        if (
            not isinstance(call, ast.Call)
            or not isinstance(call.func, ast.Name)
            or call.keywords
            or not all(isinstance(a, ast.Name) for a in call.args)
        ):
            raise self.refuse(None, what, "a name and its arguments, for instance dash(x, d)")
        names = tuple(a.id for a in call.args if isinstance(a, ast.Name))
        for name in (call.func.id, *names):
            self._legal(name, call)
        if len(set(names)) != len(names):
            raise self.refuse(None, what, "arguments with different names")
        self.open.append(_Open(call.func.id, head, {}, 1, 1))  # faults of the body name it
        self.macros[call.func.id] = _Macro(head, names, self._expression(body))

    def _legal(self, name: str, node: ast.AST) -> str:
        function = name in self.macros or (name in self.operators and name not in SPELLED)
        if function or name in self.flags or not NAME_PATTERN.match(name):
            kind = ", a function" if function else ", a flag" if name in self.flags else ""
            allowed = "lower case letters, digits and _, first a letter, no keyword, no function and no flag"
            raise self.refuse(node, f"name {name!r}{kind}", allowed)
        return name

    def text(self, source: str) -> Text:
        tree = self._tree(source, "exec")
        assert isinstance(tree, ast.Module)  # noqa: S101 - what ast.parse returns for this mode
        statements = self._block(tree.body)
        raise_if(self.faults)
        return Text(statements, source, self.where)

    def expression(self, source: str) -> Expression:
        result: Expression = Const(0)
        with self._collecting(None):
            result = self._bounded(self._expression(source))
        raise_if(self.faults)
        return result

    def _too_large(self, node: ast.AST | None) -> Refusal:
        return self.refuse(
            node, "an expression too deep or too large", f"{MAX_DEPTH} levels and {MAX_SIZE:,} operators"
        )

    def _within(self, expression: Expression, node: ast.AST | None) -> Expression:
        depth, size = measure(expression, {})
        if depth > MAX_DEPTH or size > MAX_SIZE:
            raise self._too_large(node)
        return expression

    def _bounded(self, node: ast.expr) -> Expression:
        return self._within(self._number(node), node)

    def _block(self, body: list[ast.stmt]) -> tuple[Statement, ...]:
        block: list[Statement] = []
        for node in body:
            with self._collecting(node):
                block.extend(self._statement(node))
        return tuple(block)

    def _statement(self, node: ast.stmt) -> tuple[Statement, ...]:
        if node.lineno <= self.line:
            raise self.refuse(node, "a second statement on one line", "one statement per line")
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            self.line = node.end_lineno or node.lineno
            return (Assign(self._legal(node.targets[0].id, node), self._bounded(node.value), node.lineno),)
        if isinstance(node, ast.If) and not node.orelse:
            self.line = node.test.end_lineno or node.lineno
            condition = self._condition(node.test)
            block = self._block(node.body)  # checked even where a flag takes it away
            if isinstance(condition, bool):
                return block if condition else ()
            return (Guard(self._within(condition, node.test), block, node.lineno),)
        self.line = node.end_lineno or node.lineno
        raise self.refuse(node, _said(node), "`name = number` and `if condition:` without else")

    def _condition(self, node: ast.expr) -> Expression | bool:
        """Return a condition, or its value where flags decide it."""
        line, column = self._place(node)
        if isinstance(node, ast.Name) and node.id in self.flags and not self.open:
            return self.flags[node.id]
        if isinstance(node, ast.Compare):
            if len(node.ops) != 1:
                raise self.refuse(node, "a chained comparison", "one comparison; join two with `and`")
            op = COMPARE.get(type(node.ops[0]))
            if op is None:
                raise self.refuse(node, f"comparison {_said(node.ops[0])}", "< <= > >= == !=")
            return Call(op, (self._number(node.left), self._number(node.comparators[0])), line, column)
        if isinstance(node, ast.BoolOp):
            op, decides = ("and", False) if isinstance(node.op, ast.And) else ("or", True)
            values = [self._condition(v) for v in node.values]
            left = [v for v in values if not isinstance(v, bool)]
            if decides in values or not left:
                return decides if decides in values else not decides
            return reduce(lambda a, b: Call(op, (a, b), line, column), left)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            value = self._condition(node.operand)
            return not value if isinstance(value, bool) else Call("not", (value,), line, column)
        raise self.refuse(node, "a number where a condition belongs", "a comparison, `and`, `or`, `not`")

    def _number(self, node: ast.expr) -> Expression:
        line, column = self._place(node)
        if isinstance(node, ast.Constant):
            return Const(self._literal(node), line, column)
        if isinstance(node, ast.Name):
            if not self.open:
                return Name(self._legal(node.id, node), line, column)
            if node.id in self.open[-1].arguments:
                return self.open[-1].arguments[node.id]
            raise self.refuse(node, f"name {node.id!r}", "the arguments of the function alone")
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self._number(node.operand)
            if isinstance(value, Const):
                return Const(-value.value, line, column)
            return Call("neg", (value,), line, column)
        if isinstance(node, ast.BinOp):
            op = BINARY.get(type(node.op), "")
            if op not in self.operators:
                signs = " ".join(dict.fromkeys(sign for known, sign in SIGNS.items() if known in self.operators))
                raise self.refuse(node, f"operator {SIGNS.get(op) or _said(node.op)}", signs)
            return Call(op, (self._number(node.left), self._number(node.right)), line, column)
        if isinstance(node, ast.IfExp):
            condition = self._condition(node.test)
            yes, no = self._number(node.body), self._number(node.orelse)
            if isinstance(condition, bool):
                return yes if condition else no
            return Call("select", (condition, yes, no), line, column)
        if isinstance(node, ast.Call):
            return self._call(node)
        what = "a condition" if isinstance(node, ast.Compare | ast.BoolOp) else _said(node)
        if isinstance(node, ast.UnaryOp):
            what = "a condition" if isinstance(node.op, ast.Not) else f"operator {_said(node.op)}"
        raise self.refuse(node, f"{what} where a number belongs", "a literal, a name, an operator or a function")

    def _literal(self, node: ast.Constant) -> int | float:
        value, decimals = node.value, "div" in self.operators
        if type(value) is int and not (decimals and abs(value) > sys.float_info.max):
            return value
        if isinstance(value, float) and decimals and value <= sys.float_info.max:
            return value
        was = "literal beyond float" if type(value) is int else f"literal {value!r}"
        raise self.refuse(node, was, "integers and decimals of a float" if decimals else "integers")

    def _call(self, node: ast.Call) -> Expression:
        line, column = self._place(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        plain = [a for a in node.args if not isinstance(a, ast.Starred)]
        if node.keywords or len(plain) != len(node.args):
            raise self.refuse(node, f"arguments of {name or 'a call'}", "plain arguments, in order")
        if name in self.macros:
            self._arity(name, node, len(self.macros[name].names))
            given = zip(self.macros[name].names, map(self._number, plain), strict=True)
            return self._substitute(name, dict(given), node)
        if name not in self.operators or name in SPELLED:
            known = sorted((set(self.operators) - SPELLED) | set(self.macros))
            was = f"function {name!r}" if name else f"{_said(node.func)} as function"
            raise self.refuse(node, was, ", ".join(known))
        sorts = self.operators[name]
        if sorts == "*":
            if len(plain) < 2:
                raise self.refuse(node, f"{name} with {len(plain)} argument(s)", "two or more")
            return reduce(lambda a, b: Call(name, (a, b), line, column), map(self._number, plain))
        self._arity(name, node, len(sorts))
        if sorts[-1] == "w":
            bits = _integer(plain[-1])
            if bits is None or not 1 <= bits <= MAX_BITS:
                was = f"the width of {name}" + (" is no literal" if bits is None else f" is {bits}")
                raise self.refuse(plain[-1], was, f"an integer literal from 1 to {MAX_BITS}", "ND1003")
        return Call(name, tuple(self._number(a) for a in plain), line, column)

    def _arity(self, name: str, node: ast.Call, number: int) -> None:
        if len(node.args) != number:
            raise self.refuse(node, f"{name} with {len(node.args)} argument(s)", str(number))

    def _substitute(self, name: str, arguments: Mapping[str, Expression], node: ast.expr | None) -> Expression:
        """Body of a macro with its arguments in place; node is its call, None while the macro itself is checked."""
        if any(call.name == name for call in self.open):
            raise self.refuse(node, f"function {name} that calls itself", "functions without recursion")
        self.calls += 1
        if self.calls > MAX_SIZE:
            raise self._too_large(node)
        macro, (line, column) = self.macros[name], self._place(node) if node else (1, 1)
        self.open.append(_Open(name, macro.head, arguments, line, column))
        expanded = self._number(macro.body)
        if node is None:
            self._within(expanded, macro.body)
        self.open.pop()
        return self._within(expanded, node)
