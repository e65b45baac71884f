"""Operators of the step language: what each takes, how it is written, and what Python has beyond them."""

import ast
from collections.abc import Mapping

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
SPELLED = frozenset({"add", "sub", "mul", "neg", "select", "floordiv", "shl", "shr", "div"}) | CONDITIONS

#: operator -> how it is written, for messages
SIGNS: Mapping[str, str] = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "neg": "-",
    "floordiv": "//",
    "shl": "<<",
    "shr": ">>",
    "div": "/",
}
BINARY = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.FloorDiv: "floordiv",
    ast.LShift: "shl",
    ast.RShift: "shr",
    ast.Div: "div",
}
COMPARE = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne"}
# what Python has and the language has not, in words
PYTHON_WORDS: Mapping[type[ast.AST], str] = {
    ast.Mod: "%",
    ast.Pow: "**",
    ast.MatMult: "@",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.UAdd: "+ with one operand",
    ast.Invert: "~",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.Attribute: "an attribute",
    ast.Subscript: "a subscript",
    ast.Lambda: "a lambda",
    ast.NamedExpr: "`:=`",
    ast.Tuple: "a tuple",
    ast.List: "a list",
    ast.Starred: "a starred value",
    ast.JoinedStr: "a string",
    ast.Assign: "an assignment to anything but one name",
    ast.AugAssign: "an augmented assignment",
    ast.AnnAssign: "an annotation",
    ast.Expr: "a line that assigns nothing",
    ast.While: "a loop",
    ast.For: "a loop",
    ast.FunctionDef: "a definition",
    ast.ClassDef: "a definition",
    ast.Import: "an import",
    ast.ImportFrom: "an import",
    ast.If: "an else branch",
}
