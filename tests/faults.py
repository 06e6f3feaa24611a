"""A disk whose operations can be watched and made to fail, and what a power cut may leave."""

import contextlib
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

GARBAGE = bytes(byte ^ 0xAA for byte in range(256))  # what is found for each byte
FUNCTIONS = ("stat", "open", "write", "chmod", "fsync", "close", "replace", "unlink")


@dataclass(frozen=True)
class Fault:
    """An operation that fails.

    Attributes:
        number: Which one, from 1.
        error: Makes what is raised.
        for_ever: All after it fail, too.
        is_done: It takes effect all the same, as when only the answer is lost.
    """

    number: int
    error: Callable[[], BaseException]
    for_ever: bool = False
    is_done: bool = False

    def strikes(self, number):
        return number == self.number or (self.for_ever and number > self.number)


@dataclass(frozen=True)
class Operation:
    """What took effect: a function of `os`, on a file, with the argument that says the rest."""

    name: str
    file: str
    argument: object = None


class Disk:
    """A folder in which the functions of `os` are written down, and may fail.

    Files are called "folder" (it itself), "temporary" or by their names.

    Attributes:
        called: Each operation, in order, as in "write temporary".
        failed: Those that were made to fail.
        done: Those that took effect, as Operations.
        descriptors: The files that are open, by descriptor.
    """

    def __init__(self, folder, *, fault=None, bite=None):
        """`bite` is how many bytes a write takes at most; without one, all."""
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
            if self.fault.is_done or name == "close":  # which closes, whatever it says
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
        """Return what a path or descriptor is called, or None if it is elsewhere."""
        if isinstance(which, int):
            return self.descriptors.get(which)
        path = Path(which)
        if path == self.folder:
            return "folder"
        if path.parent != self.folder:
            return None
        return "temporary" if path.suffix == ".tmp" else path.name


def disks_after(operations, start):
    """Yield what a disk may hold, contents by name, if the power fails after these operations.

    Of what was written since a file's last fsync, all, a part or nothing may be there, or garbage
    of the same length; of the names that were made, moved or removed since the folder's last
    fsync, any may be so or not. `start` is what it held before, for sure.
    """
    names = {name: number for number, name in enumerate(start)}
    contents, durable = list(start.values()), list(start.values())
    durable_names, pending, handles, places = dict(names), [], {}, {}
    for each in operations:
        change = {}
        if each.name == "open" and each.file != "folder":
            if each.file not in names:
                change = {each.file: len(contents)}
                contents.append(b"")
                durable.append(b"")
            handles[each.file], places[each.file] = {**names, **change}[each.file], 0
            if each.argument & os.O_TRUNC:
                contents[handles[each.file]] = b""
        elif each.name == "write":
            number, place = handles[each.file], places[each.file]
            end = places[each.file] = place + len(each.argument)
            before = contents[number]
            contents[number] = before[:place] + each.argument + before[end:]
        elif each.name == "fsync" and each.file == "folder":
            durable_names, pending = dict(names), []
        elif each.name == "fsync":
            durable[handles[each.file]] = contents[handles[each.file]]
        elif each.name == "replace":
            change = {each.file: None, each.argument: names[each.file]}
        elif each.name == "unlink":
            change = {each.file: None}
        names = _changed(names, [change])
        pending = [*pending, change] if change else pending

    for kept in itertools.product([False, True], repeat=len(pending)):
        found = _changed(durable_names, itertools.compress(pending, kept))
        possible = [_possible(durable[number], contents[number]) for number in found.values()]
        for held in itertools.product(*possible):
            yield dict(zip(found, held, strict=True))


def _changed(names, changes):
    for change in changes:
        names = {**names, **change}
    return {name: number for name, number in names.items() if number is not None}


def _possible(durable, written):
    """Return what a file may hold after a power cut, by what is on the disk and was written."""
    if durable == written:
        return {durable}
    half = len(written) // 2
    zeros = bytes(len(written) - half)
    garbage = written.translate(GARBAGE)
    return {durable, written, b"", written[:half], written[:half] + zeros, garbage} | {
        written[:half] + durable[half:]
    }


def power_cuts(operations, old, new, *, has_returned=True):
    """Return how many disks a power cut can leave during a save of "model", and what is wrong.

    Before and while it is saved, the old or the new is there, whole; once it has been, the new.
    """
    start = {} if old is None else {"model": old}
    count, wrong = 0, set()
    for done in range(len(operations) + 1):
        for disk in disks_after(operations[:done], start):
            count += 1
            found = disk.get("model")
            if found not in (old, new):
                wrong.add("neither the old nor the new")
            elif has_returned and done == len(operations) and found != new:
                wrong.add("the old after the save")
    return count, wrong
