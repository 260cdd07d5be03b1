"""The inner layer of a file, read: a pickle, run by an interpreter that can do very little.

A pickle is a program for a small stack machine: "put this string on the stack", "make a dictionary of
what lies above the mark", "call the function of this name". Python's own `pickle.Unpickler` imports any
function by name and calls it, so a file could do anything. This interpreter looks names up in tables and
imports nothing. It refuses whatever isn't there before anything is called, and bounds what can be made:

* strings and numbers are taken from the file, never longer than it is;
* what calls copy may not be larger, in sum, than a few times the file, and so with keys that are looked up;
* the memo is a dictionary, so that a place with a large number costs nothing;
* nothing recurses.
"""

from __future__ import annotations

import importlib
import pickletools
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from pickle import UnpicklingError
from types import TracebackType
from typing import Any

from tinygrad_like.serialization.rebuild import FUNCTIONS, OBJECTS, Name, check_key, refuse, shown

_COPIES = 4  # how many times the file's size calls may copy
_SLACK = 4096
_LONG_KEY = 1000

# Modules whose names were others in Python 2, which pickles of protocol 2 still use.
_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg", "UserDict": "collections"}
_BLOCKED = {"sys", "os", "posix", "nt"}


# ----- Names the user allows ----------------------------------------------------------------------

SafeGlobal = Any  # a class or function, or a pair of one and its full name

_safe: list[SafeGlobal] = []


def add_safe_globals(safe_globals: Iterable[SafeGlobal]) -> None:
    """Have `load` accept these classes and functions in files from now on.

    Args:
        safe_globals: classes or functions, or pairs of one and the full name it has in files.

    >>> import tinygrad_like as torch
    >>> class Settings: ...
    >>> torch.serialization.add_safe_globals([Settings])
    >>> torch.serialization.get_safe_globals() == [Settings]
    True
    >>> torch.serialization.clear_safe_globals()
    """
    for entry in safe_globals:
        _full_name(entry)
        if entry not in _safe:
            _safe.append(entry)


def get_safe_globals() -> list[SafeGlobal]:
    """Return what `add_safe_globals` was given."""
    return list(_safe)


def clear_safe_globals() -> None:
    """Forget what `add_safe_globals` was given."""
    _safe.clear()


class safe_globals:
    """A block in which `load` accepts these classes and functions.

    >>> import io
    >>> import tinygrad_like as torch
    >>> from fractions import Fraction
    >>> file = io.BytesIO()
    >>> torch.save(Fraction(1, 3), file)
    >>> with torch.serialization.safe_globals([Fraction]):
    ...     torch.load(file.seek(0) or file)
    Fraction(1, 3)
    """

    def __init__(self, safe_globals: Iterable[SafeGlobal]) -> None:
        self._added = list(safe_globals)
        self._former: list[SafeGlobal] = []

    def __enter__(self) -> None:
        self._former = get_safe_globals()
        add_safe_globals(self._added)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _safe[:] = self._former


def _full_name(entry: SafeGlobal) -> str:
    if isinstance(entry, tuple):
        if len(entry) != 2 or type(entry[1]) is not str:
            raise ValueError(
                f"add_safe_globals: got {entry!r}, expected a class or function, or a pair of one and its name"
            )
        return entry[1]
    return f"{entry.__module__}.{entry.__qualname__}"


def _allowed() -> dict[str, Any]:
    return {_full_name(e): e[0] if isinstance(e, tuple) else e for e in _safe}


# ----- The interpreter ----------------------------------------------------------------------------

# What Python raises for a stack that is too short, operands of the wrong kind and the like.
_NONSENSE = (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError)


class _Outside(Exception):
    """Carries an error that is not the pickle's past the one who explains those."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class Unpickler:
    """Runs one pickle.

    Args:
        data: bytes that start with it.
        persistent_load: gives the storage for what a file says of it.
        functions: what may be called, beside and before the usual ones.
        start: where in `data` the pickle starts.
        encoding: of strings that Python 2 wrote; "bytes" to leave them bytes.

    Attributes:
        place: where in `data` the next byte is taken; after `load`, the byte after the pickle.
    """

    def __init__(
        self,
        data: bytes,
        persistent_load: Callable[[Any], Any],
        functions: dict[Name, Callable[..., Any]] | None = None,
        start: int = 0,
        encoding: str = "utf-8",
    ) -> None:
        self._encoding = encoding
        self._data = data
        self._persistent_load = persistent_load
        self._functions = FUNCTIONS | (functions or {})
        self._allowed = _allowed()
        self._callable = {id(f) for f in (*self._functions.values(), *self._allowed.values())}
        self._budget = _COPIES * (len(data) - start) + _SLACK
        self.place = start
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # the stacks under each mark
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """Return the object that the pickle describes.

        Raises:
            UnpicklingError: if it names something that is not allowed, or makes no sense.
        """
        data, size, steps = self._data, len(self._data), _STEPS
        try:
            while self.place < size:
                code = data[self.place]
                self.place += 1
                if code == 0x2E:  # STOP
                    return self._stack.pop()
                step = steps.get(code)
                if step is None:
                    raise UnpicklingError(
                        f"load: the file has the pickle instruction {bytes([code])!r}, which save never "
                        "writes; it is damaged, or written by something else"
                    )
                step(self)
        except _Outside as outside:
            raise outside.error from None
        except _NONSENSE as error:
            raise UnpicklingError(
                f"load: the pickle at byte {self.place} makes no sense ({type(error).__name__}: {error}); "
                "the file is damaged, or not written by save"
            ) from error
        raise UnpicklingError("load: the pickle has no end; the file is cut off")

    # ----- Taking bytes ---------------------------------------------------------------------------

    def _take(self, count: int) -> bytes:
        start, end = self.place, self.place + count
        if end > len(self._data):
            raise UnpicklingError("load: the pickle is cut off, or asks for more than the file has")
        self.place = end
        return self._data[start:end]

    def _number(self, form: struct.Struct) -> Any:
        return form.unpack(self._take(form.size))[0]

    def _line(self) -> str:
        end = self._data.find(b"\n", self.place, self.place + 1000)
        if end < 0:
            raise UnpicklingError("load: a name in the pickle has no end; the file is damaged")
        text = self._data[self.place : end].decode()
        self.place = end + 1
        return text

    def _marked(self) -> list[Any]:
        items = self._stack
        self._stack = self._below.pop()
        return items

    # ----- What could be dangerous ----------------------------------------------------------------

    def find(self, module: str, name: str) -> Any:
        """Return what a name stands for.

        Raises:
            UnpicklingError: if it is not allowed.
        """
        module = _MODULES.get(module, module)
        key = (module, name)
        full = f"{module}.{name}"
        title = full if full.isprintable() and len(full) < 200 else shown(full)
        if module in _BLOCKED:
            raise UnpicklingError(
                f"load: the file asks for {title}; nothing of module {module} is ever allowed in a file"
            )
        if key in self._functions:
            return self._functions[key]
        if key in OBJECTS:
            return OBJECTS[key]
        if full in self._allowed:
            return self._allowed[full]
        if module.partition(".")[0] == "torch":
            own = f"tinygrad_like{module[5:]}.{name}"
            if own in self._allowed:
                return self._allowed[own]
        raise UnpicklingError(
            f"load: the file asks for {title}, which is not allowed in a file by default. If you trust it, "
            "allow it by serialization.add_safe_globals([...]) or `with serialization.safe_globals(...)`; "
            "or, if you trust all that is in the file, load with weights_only=False, which runs any code in it"
        )

    def _call(self) -> None:
        arguments = self._stack.pop()
        function = self._stack.pop()
        if id(function) not in self._callable or type(arguments) is not tuple:
            raise UnpicklingError(
                f"load: the file calls {shown(function)}, which is nothing that may be called"
            )
        for argument in arguments:
            if isinstance(argument, str | bytes | list | tuple | dict):
                self._spend(len(argument))
        self._stack.append(function(*arguments))

    def _spend(self, count: int) -> None:
        self._budget -= count
        if self._budget < 0:
            raise UnpicklingError("load: the pickle makes far more than it holds; refused")

    def _new(self) -> None:
        arguments = self._stack.pop()
        cls = self._stack.pop()
        if not (isinstance(cls, type) and any(cls is c for c in self._allowed.values())):
            raise UnpicklingError(
                f"load: the file makes a new {shown(cls)}, which is not allowed in a file"
            )
        self._stack.append(cls.__new__(cls, *arguments))

    def _build(self) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if type(target) is OrderedDict:
            if type(state) is not dict:
                raise refuse("a dictionary of attributes", state)
            for name, value in state.items():
                if type(name) is not str or hasattr(OrderedDict, name):
                    raise UnpicklingError(
                        f"load: an OrderedDict can't be given the attribute {shown(name)}"
                    )
                target.__dict__[name] = value
        elif any(type(target) is c for c in self._allowed.values()):
            if hasattr(target, "__setstate__"):
                target.__setstate__(state)
                return
            own, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
            if own:
                target.__dict__.update(own)
            for name, value in (slots or {}).items():
                setattr(target, name, value)
        else:
            raise UnpicklingError(
                f"load: the file gives state to a {type(target).__name__}, whose class is not allowed to have it"
            )

    def _persistent(self) -> None:
        saved = self._stack.pop()
        try:
            self._stack.append(self._persistent_load(saved))
        except Exception as error:  # it may come from a function of the user
            raise _Outside(error) from None

    # ----- Containers -----------------------------------------------------------------------------

    def _mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _tuple(self) -> None:
        items = tuple(self._marked())
        self._stack.append(items)

    def _tuple_of(self, count: int) -> None:
        if len(self._stack) < count:
            raise IndexError("too few items")
        items = tuple(self._stack[-count:])
        self._stack[-count:] = [items]

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise refuse("a list", target)
        target.extend(items)

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) not in (dict, OrderedDict, Counter):
            raise refuse("a dictionary", target)
        if len(items) % 2:
            raise IndexError("a key without a value")
        for at in range(0, len(items), 2):
            key = items[at]
            if type(key) is not str or len(key) > _LONG_KEY:
                self._spend(check_key(key))
            target[key] = items[at + 1]

    def _set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set_items([key, value])

    def _add_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not set:
            raise refuse("a set", target)
        for item in items:
            self._spend(check_key(item))
            target.add(item)

    # ----- The memo and the rest ------------------------------------------------------------------

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _put(self, key: int) -> None:
        self._memo[key] = self._stack[-1]

    def _get(self, key: int) -> None:
        self._stack.append(self._memo[key])

    def _global(self) -> None:
        module = self._line()
        self._push(self.find(module, self._line()))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise refuse("the name of a function", name)
        self._push(self.find(module, name))

    def _protocol(self) -> None:
        version = self._take(1)[0]
        if version > 5:
            raise UnpicklingError(f"load: pickle protocol {version} is unknown; expected 5 at most")

    def _text(self, form: struct.Struct) -> None:
        self._push(str(self._take(self._number(form)), "utf-8", "surrogatepass"))

    def _old_text(self, form: struct.Struct) -> None:
        """Put a string of Python 2 on the stack."""
        text = self._take(self._number(form))
        self._push(text if self._encoding == "bytes" else str(text, self._encoding))

    def _long(self, form: struct.Struct) -> None:
        self._push(int.from_bytes(self._take(self._number(form)), "little", signed=True))


_U1, _U2, _U4, _U8 = (struct.Struct(form) for form in ("<B", "<H", "<I", "<Q"))
_I4, _F8 = struct.Struct("<i"), struct.Struct(">d")

# What each instruction does; those of protocols 0 and 1 that save never writes are left out.
_STEPS: dict[int, Callable[[Unpickler], Any]] = {
    ord(code): step
    for code, step in {
        "\x80": Unpickler._protocol,
        "\x95": lambda u: u._take(8),  # a frame: only a hint for readers
        "(": Unpickler._mark,
        "0": lambda u: u._stack.pop(),
        "1": lambda u: u._marked(),
        "2": lambda u: u._push(u._stack[-1]),
        "N": lambda u: u._push(None),
        "\x88": lambda u: u._push(True),
        "\x89": lambda u: u._push(False),
        "J": lambda u: u._push(u._number(_I4)),
        "K": lambda u: u._push(u._number(_U1)),
        "M": lambda u: u._push(u._number(_U2)),
        "\x8a": lambda u: u._long(_U1),
        "\x8b": lambda u: u._long(_U4),
        "G": lambda u: u._push(u._number(_F8)),
        "X": lambda u: u._text(_U4),
        "\x8c": lambda u: u._text(_U1),
        "\x8d": lambda u: u._text(_U8),
        "U": lambda u: u._old_text(_U1),
        "T": lambda u: u._old_text(_U4),
        "C": lambda u: u._push(u._take(u._number(_U1))),
        "B": lambda u: u._push(u._take(u._number(_U4))),
        "\x8e": lambda u: u._push(u._take(u._number(_U8))),
        "\x96": lambda u: u._push(bytearray(u._take(u._number(_U8)))),
        "]": lambda u: u._push([]),
        "}": lambda u: u._push({}),
        ")": lambda u: u._push(()),
        "\x8f": lambda u: u._push(set()),
        "t": Unpickler._tuple,
        "\x85": lambda u: u._tuple_of(1),
        "\x86": lambda u: u._tuple_of(2),
        "\x87": lambda u: u._tuple_of(3),
        "a": lambda u: u._extend([u._stack.pop()]),
        "e": lambda u: u._extend(u._marked()),
        "s": Unpickler._set_item,
        "u": lambda u: u._set_items(u._marked()),
        "\x90": lambda u: u._add_items(u._marked()),
        "q": lambda u: u._put(u._number(_U1)),
        "r": lambda u: u._put(u._number(_U4)),
        "\x94": lambda u: u._put(len(u._memo)),
        "h": lambda u: u._get(u._number(_U1)),
        "j": lambda u: u._get(u._number(_U4)),
        "c": Unpickler._global,
        "\x93": Unpickler._stack_global,
        "R": Unpickler._call,
        "\x81": Unpickler._new,
        "b": Unpickler._build,
        "Q": Unpickler._persistent,
    }.items()
}


def unsafe_names(data: bytes) -> list[str]:
    """Return the full names that a pickle asks for and that are not allowed."""
    try:
        return _unsafe_names(data)
    except ValueError as error:
        raise UnpicklingError(f"load: the pickle makes no sense ({error})") from error


def _unsafe_names(data: bytes) -> list[str]:
    unpickler = Unpickler(data, lambda _: None)
    strings: list[Any] = [None]
    memo: dict[Any, Any] = {}
    found: dict[str, None] = {}
    for code, argument, _ in pickletools.genops(data):
        if code.name.endswith("PUT") or code.name == "MEMOIZE":
            memo[len(memo) if argument is None else argument] = strings[-1]
        elif code.name.endswith("GET"):
            strings.append(memo.get(argument))
        elif code.name in ("GLOBAL", "STACK_GLOBAL"):
            names = argument.split(" ", 1) if argument else map(str, strings[-2:])
            module, name = names
            try:
                unpickler.find(module, name)
            except UnpicklingError:
                found[f"{_MODULES.get(module, module)}.{name}"] = None
        elif isinstance(argument, str):
            strings.append(argument)
    return list(found)


# ----- Without restrictions -----------------------------------------------------------------------


def trusting(
    pickle_module: Any,
    file: Any,
    persistent_load: Callable[[Any], Any],
    functions: dict[Name, Callable[..., Any]],
    **options: Any,
) -> Any:
    """Return what a pickle describes, whatever it asks for: it may run any code.

    PyTorch's names are looked up here, in the module of the same path.
    """

    class Trusting(pickle_module.Unpickler):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            key = (_MODULES.get(module, module), name)
            if key[0].partition(".")[0] == "torch":
                for table in (functions, FUNCTIONS, OBJECTS):
                    if key in table:
                        return table[key]
                return _counterpart(*key)
            return super().find_class(module, name)

        def persistent_load(self, saved: Any) -> Any:
            return persistent_load(saved)

    return Trusting(file, **options).load()


def _counterpart(module: str, name: str) -> Any:
    """Return what PyTorch's class or function of that name is here."""
    try:
        found: Any = importlib.import_module(f"tinygrad_like{module[5:]}")
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        raise UnpicklingError(
            f"load: the file asks for {module}.{name}, which has no counterpart in tinygrad_like"
        ) from None
    return found
