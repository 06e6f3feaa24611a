"""A disk whose operations are recorded and can fail, and what a power cut may leave of it."""

import contextlib
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

GARBAGE = bytes(byte ^ 0xAA for byte in range(256))  # the wrong byte for each byte
FUNCTIONS = ("stat", "open", "write", "chmod", "fsync", "close", "replace", "unlink")


@dataclass(frozen=True)
class Fault:
    """An operation that fails.

    Attributes:
        number: The number of the operation, from 1.
        error: Makes the exception that is raised.
        for_ever: Whether all later operations fail, too.
        is_done: Whether it takes effect all the same, as when only the answer is lost.
    """

    number: int
    error: Callable[[], BaseException]
    for_ever: bool = False
    is_done: bool = False

    def strikes(self, number):
        return number == self.number or (self.for_ever and number > self.number)


@dataclass(frozen=True)
class Operation:
    """An operation that took effect: a function of `os`, its file and its other argument."""

    name: str
    file: str
    argument: object = None


class Disk:
    """A folder in which calls of `os` are recorded, and may fail.

    Files are called "folder" (the folder itself), "temporary", or by their names.

    Attributes:
        called: Every operation, in order, as in "write temporary".
        failed: The operations that were made to fail.
        done: The operations that took effect.
        descriptors: The open files, by descriptor.
    """

    def __init__(self, folder, *, fault=None, bite=None):
        """`bite` is the largest number of bytes of a write; None: no limit."""
        self.folder, self.fault, self.bite = Path(folder), fault, bite
        self.called, self.failed, self.done, self.descriptors = [], [], [], {}
        self._close = os.close  # the real one

    def __enter__(self):
        self._patches = contextlib.ExitStack()
        for name in FUNCTIONS:
            watched = self._watched(name, getattr(os, name))
            self._patches.enter_context(mock.patch.object(os, name, watched))
        return self

    def __exit__(self, *error):
        self._patches.close()

    def _watched(self, name, real):
        def function(first, *others, **more):
            file = self._file(first)
            if file is None:
                return real(first, *others, **more)
            self.called.append(f"{name} {file}")
            fails = self.fault is not None and self.fault.strikes(len(self.called))
            if name == "write":
                others = (bytes(others[0][: self.bite]),)
            if not fails:
                result = real(first, *others, **more)
                self._took_effect(name, file, first, others, result)
                return result
            if self.fault.is_done or name == "close":  # which closes the file even if it fails
                with contextlib.suppress(FileNotFoundError):
                    result = real(first, *others, **more)
                    self._took_effect(name, file, first, others, result)
                    if name == "open":
                        self._close(result)
                        del self.descriptors[result]
            self.failed.append(f"{name} {file}")
            raise self.fault.error()

        return function

    def _took_effect(self, name, file, first, others, result):
        argument = self._file(others[0]) if name == "replace" else (*others, None)[0]
        self.done.append(Operation(name, file, argument))
        if name == "open":
            self.descriptors[result] = file
        elif name == "close":
            del self.descriptors[first]

    def _file(self, which):
        """Return the name of a path or descriptor, or None if it is elsewhere."""
        if isinstance(which, int):
            return self.descriptors.get(which)
        path = Path(which)
        if path == self.folder:
            return "folder"
        if path.parent != self.folder:
            return None
        return "temporary" if path.suffix == ".tmp" else path.name


def disks_after(operations, start):
    """Yield the possible contents of a disk, by name, if the power fails after these operations.

    What was written since a file's last fsync may be there in whole, in part, not at all, or as
    garbage of the same length. Each name that was made, moved or removed since the folder's last
    fsync may have changed or not. `start` is the contents before the first operation.
    """
    names = {name: number for number, name in enumerate(start)}
    contents, durable = list(start.values()), list(start.values())
    durable_names, pending, handles, places = dict(names), [], {}, {}
    for operation in operations:
        change = {}
        if operation.name == "open" and operation.file != "folder":
            if operation.file not in names:
                change = {operation.file: len(contents)}
                contents.append(b"")
                durable.append(b"")
            handles[operation.file], places[operation.file] = {**names, **change}[operation.file], 0
            if operation.argument & os.O_TRUNC:
                contents[handles[operation.file]] = b""
        elif operation.name == "write":
            number, place = handles[operation.file], places[operation.file]
            end = places[operation.file] = place + len(operation.argument)
            before = contents[number]
            contents[number] = before[:place] + operation.argument + before[end:]
        elif operation.name == "fsync" and operation.file == "folder":
            durable_names, pending = dict(names), []
        elif operation.name == "fsync":
            durable[handles[operation.file]] = contents[handles[operation.file]]
        elif operation.name == "replace":
            change = {operation.file: None, operation.argument: names[operation.file]}
        elif operation.name == "unlink":
            change = {operation.file: None}
        names = _changed(names, [change])
        pending = [*pending, change] if change else pending

    for kept in itertools.product([False, True], repeat=len(pending)):
        left = _changed(durable_names, itertools.compress(pending, kept))
        possible = [_possible(durable[number], contents[number]) for number in left.values()]
        for data in itertools.product(*possible):
            yield dict(zip(left, data, strict=True))


def _changed(names, changes):
    for change in changes:
        names = {**names, **change}
    return {name: number for name, number in names.items() if number is not None}


def _possible(durable, written):
    """Return the possible contents of a file after a power cut."""
    if durable == written:
        return {durable}
    half = len(written) // 2
    zeros = bytes(len(written) - half)
    garbage = written.translate(GARBAGE)
    return {durable, written, b"", written[:half], written[:half] + zeros, garbage} | {
        written[:half] + durable[half:]
    }


def power_cuts(operations, old, new, *, has_returned=True):
    """Return the number of disks that power cuts can leave during a save, and what is wrong.

    Before and during a save, the old or the new "model" is there, whole; after it, the new one.
    """
    start = {} if old is None else {"model": old}
    count, wrong = 0, set()
    for done in range(len(operations) + 1):
        for disk in disks_after(operations[:done], start):
            count += 1
            content = disk.get("model")
            if content not in (old, new):
                wrong.add("neither the old nor the new")
            elif has_returned and done == len(operations) and content != new:
                wrong.add("the old after the save")
    return count, wrong
