"""Captions a batch at a time: each is printed and kept as it comes, so that nothing is lost.

What `vizer caption --json NAME.json` has written so far lies in `NAME.jsonl`, one JSON object a
line, with `NAME.jsonl.job.json`, which says what it is asked for and how far it is. Stopped and
called again it goes on from there, with the numbers that it would have drawn, to the same captions.
Both are deleted when `NAME.json` is written.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import typer

from vizer_core.cli.app import say
from vizer_core.run_folder import KIND, is_unfinished, require_same

if TYPE_CHECKING:
    from torch import Generator

GenerateBatch = Callable[[list[int]], list[str]]  # indices of images -> their captions


@dataclass
class Progress:
    """How far a command is: images looked at, captions by index, what was left out, the draws."""

    images: int = 0
    captions: dict[int, str] = field(default_factory=dict)
    left_out: list[int] = field(default_factory=list)


class KeptLines:
    """The captions of a command that is not finished, in a file that it adds to."""

    def __init__(self, out: Path) -> None:
        self.path, self.record = lines_of(out)
        self._stream: IO[bytes] | None = None
        self._job: dict[str, Any] = {}

    def begin(self, names: list[str], job: Mapping[str, Any], generator: Generator) -> Progress:
        """Return what is there already of the same job, and set the generator as it was then.

        Raises `ValueError` where another job is kept here, or another command is writing to it.
        """
        from vizer_core.distributed import is_main_process, wait_for_everyone

        self._job = dict(job)
        progress, size = Progress(), 0
        try:
            if is_main_process() and self.path.is_file():
                self._lock()
            require_own_lines(self.path, self.record)
            if self.path.is_file():
                progress, size = self._read(generator)
            wait_for_everyone()  # nobody reads what the first process writes below
            if is_main_process():
                self._open(size)
                self._write_record(progress, generator)
        except OSError as error:
            self._give_up(error)
        if progress.images:
            say(f"going on with {self.path}: {progress.images} of {len(names)} images", err=True)
            for index in progress.left_out:
                say(f"left out {names[index]} before", err=True)
        return progress

    def add(
        self, names: list[str], progress: Progress, new: list[int], generator: Generator
    ) -> None:
        """Write the captions of the images at `new`, and how far the command is."""
        if self._stream is None:
            return
        rows = [{"image_id": as_text(names[i]), "caption": progress.captions[i]} for i in new]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        try:
            self._stream.write(lines.encode())
            self._stream.flush()
            self._write_record(progress, generator)
        except OSError as error:
            self._give_up(error)

    def finish(self) -> None:
        """Delete the lines, for the whole file is written."""
        self.close()
        from vizer_core.distributed import is_main_process

        if is_main_process():
            for file in (self.path, self.record):
                file.unlink(missing_ok=True)

    def close(self) -> None:
        """Let others write to the file."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(OSError):  # what was buffered for a disk that is full
                stream.close()

    def _lock(self) -> None:
        from vizer_core.files import lock

        self.path.parent.mkdir(parents=True, exist_ok=True)
        binary = getattr(os, "O_BINARY", 0)  # Windows
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | binary, 0o666)  # nothing is cut off
        self._stream = os.fdopen(handle, "r+b")
        if lock(handle) is False:
            self.close()
            raise ValueError(
                f"another vizer caption writes to {self.path} at this moment: wait for it, or name "
                "another --json"
            )

    def _read(self, generator: Generator) -> tuple[Progress, int]:
        """Read what is kept: how far it is, and how many bytes of lines belong to that."""
        import torch

        from vizer_core.files import read_json

        kept = read_json(self.record)
        delete = f"{self.path} and {self.record.name}"
        require_same(kept["job"], self._job, of=str(self.path), delete=delete)
        size, left_out = kept["bytes"], kept["left_out"]
        rows = self.path.read_bytes()[:size].splitlines()  # of bytes: at line feeds alone
        indices = [i for i in range(kept["images"]) if i not in set(left_out)]
        texts = [json.loads(row)["caption"] for row in rows]
        generator.set_state(torch.tensor(list(bytes.fromhex(kept["draws"])), dtype=torch.uint8))
        return Progress(kept["images"], dict(zip(indices, texts, strict=True)), left_out), size

    def _open(self, size: int) -> None:
        """Open the lines for writing after the first `size` bytes; what follows was cut off."""
        if self._stream is None:
            self._lock()
        assert self._stream is not None
        self._stream.truncate(size)
        self._stream.seek(size)

    def _write_record(self, progress: Progress, generator: Generator) -> None:
        from vizer_core.files import write_json

        assert self._stream is not None
        draws = bytes(generator.get_state().tolist()).hex()
        done = {"images": progress.images, "left_out": progress.left_out}
        write_json(
            self.record,
            {"kind": KIND, "job": self._job, **done, "bytes": self._stream.tell(), "draws": draws},
        )

    def _give_up(self, error: OSError) -> None:
        """Say once that nothing more is kept: the captions are printed all the same."""
        self.close()
        said = error.strerror or str(error)
        say(f"warning: {self.path} cannot be written ({said}): a stop loses captions", err=True)


def lines_of(out: Path) -> tuple[Path, Path]:
    """Return where the captions for a file lie before it is whole, and their record.

    >>> [path.name for path in lines_of(Path("said.json"))]
    ['said.jsonl', 'said.jsonl.job.json']
    >>> [lines_of(Path(name))[0].name for name in ("a.v1", "a.v2")]
    ['a.v1.jsonl', 'a.v2.jsonl']
    """
    lines = out.with_name(f"{out.name.removesuffix('.json')}.jsonl")
    return lines, lines.with_name(f"{lines.name}.job.json")


def require_own_lines(lines: Path, record: Path) -> None:
    """Raise `ValueError` if a file is in their place that no stopped command has left."""
    there = [file for file in (lines, record) if file.is_file()]
    if there and not is_unfinished(record):
        raise ValueError(
            f"{there[-1]} is there already, and this command would keep its captions there until "
            "they are complete: name another --json, or delete it first"
        )


def generate_in_batches(
    names: list[str],
    generate: GenerateBatch,
    generator: Generator,
    *,
    batch_size: int,
    printer: Printer,
    kept: KeptLines | None = None,
    job: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Caption the images batch by batch, print a line for each, and return captions by name.

    `generate` captions the images at some indices, all of them or none; what it draws is drawn from
    `generator`. An image that it refuses costs one line on stderr. With `kept` what was done is
    kept under `job`, and a stopped command goes on.
    """
    progress = Progress() if kept is None else kept.begin(names, job or {}, generator)
    printer.show(names, progress.captions)
    while progress.images < len(names):
        indices = list(range(progress.images, min(progress.images + batch_size, len(names))))
        found, faults = _one_batch(indices, generate, generator)
        if faults and not found and not progress.captions:
            first = next(iter(faults))
            many = f"none of {len(indices)} images can be captioned: " if len(indices) > 1 else ""
            raise ValueError(f"{many}{names[first]}: {faults[first]}") from faults[first]
        for index, fault in faults.items():
            say(f"left out {names[index]}: {' '.join(str(fault).split())}", err=True)
        progress.images += len(indices)
        progress.captions |= found
        progress.left_out += faults
        if kept is not None:
            kept.add(names, progress, list(found), generator)
        printer.show(names, found)
    return {names[index]: text for index, text in progress.captions.items()}


def _one_batch(
    indices: list[int], generate: GenerateBatch, generator: Generator
) -> tuple[dict[int, str], dict[int, Exception]]:
    """Caption a batch; where that fails, find the images that fail alone, and do the others."""
    from vizer_core.data.karpathy import one_line

    before = generator.get_state()
    faults: dict[int, Exception] = {}
    try:
        texts = generate(indices)
    except Exception as error:
        if is_no_fault_of_an_image(error):
            raise
        for index in indices:
            try:
                generate([index])
            except Exception as own:
                if is_no_fault_of_an_image(own):
                    raise
                faults[index] = own
        if not faults:
            raise
        generator.set_state(before)
        indices = [index for index in indices if index not in faults]
        texts = generate(indices) if indices else []
    return {index: one_line(text) for index, text in zip(indices, texts, strict=True)}, faults


def is_no_fault_of_an_image(error: Exception) -> bool:
    """Say whether an error would come with any image: no memory, or a fault in the code."""
    import torch

    code = (TypeError, AttributeError, NameError, KeyError, AssertionError, NotImplementedError)
    return isinstance(error, (MemoryError, torch.OutOfMemoryError, *code))


class Printer:
    """Prints a line per caption; with `goes_on` a reader that left is remembered, no error yet.

    Letters that the terminal cannot show, as in names that are no UTF-8, are escaped.
    """

    def __init__(self, *, goes_on: bool) -> None:
        self._goes_on = goes_on
        self._gone: BrokenPipeError | None = None

    def show(self, names: list[str], captions: Mapping[int, str]) -> None:
        """Print the captions of the images at some indices."""
        from vizer_core.distributed import is_main_process

        coding = sys.stdout.encoding or "utf-8"
        if self._gone is not None or not is_main_process():
            return
        try:
            for index, text in captions.items():
                line = f"{names[index]}\t{text}"
                typer.echo(line.encode(coding, "backslashreplace").decode(coding))
        except BrokenPipeError as error:
            if not self._goes_on:
                raise
            self._gone = error

    def finish(self) -> None:
        """Raise the `BrokenPipeError` that was remembered, now that the file is written."""
        if self._gone is not None:
            raise self._gone


def as_text(name: str) -> str:
    r"""Return a file name as text that UTF-8 can encode.

    >>> as_text("caf\udce9.jpg")
    'caf\\udce9.jpg'
    """
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
