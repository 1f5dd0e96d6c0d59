"""The entry point: finds the command, reads its options, and turns every way to fail into a message and an exit code.

A command is a module ``antidrome.cli.NAME`` with a frozen dataclass (its options, as tyro shows them) and
``run(config) -> int`` (its exit code); a command of two words is ``antidrome.cli.ONE_TWO``. Only the module of the
command that was asked for is imported, and its heavy imports happen inside ``run``, so that help is instant.

Exit codes: 0 done; 1 an unexpected error, or what the command found (``check``: a finding of severity error;
``mechanism diagnose``: something speaks against the posterior, or there are too few simulations to tell); 2 a usage or
input error; 130 interrupted (SIGINT), 143 terminated (SIGTERM).
"""

import _thread
import contextlib
import importlib
import os
import shlex
import signal
import sys
import threading
import traceback
import typing
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from antidrome.cli.config_file import defaults_from_file
from antidrome.cli.text import printable, say
from antidrome.errors import AntidromeError, did_you_mean

COMMANDS = {
    "run": "the whole job: spikes, shared dynamics, dimension, results and a page",
    "spikes": "infer spikes from fluorescence, and write them",
    "spikes fit": "learn from an unlabelled recording, and write the model",
    "spikes predict": "infer spikes with a fitted model",
    "check": "look at a recording before anything is inferred from it",
    "mechanism": "the posterior over a mechanistic model's parameters",
    "simulate": "make a recording whose spikes are known",
    "report": "make the page of a results folder again",
    "dynamics": "one dynamical system from many partial recordings",
    "dimension": "intrinsic dimension of points in files",
    "dimension layers": "intrinsic dimension of every layer of a network",
    "data": "list and fetch public recordings and references",
}
FORMER = {
    "dimension layers --key": "--series",
    "dynamics fit --no-page": "--no-report",
    "mechanism diagnose --draws": "--samples",
    "simulate --model": "--generative",
}
"""Options that once had another name, which is too unlike for tyro to suggest the one of now."""
GO_ON = dict.fromkeys(("run", "spikes", "spikes predict", "mechanism fit", "mechanism simulate", "data"), "") | {
    "spikes fit": "--checkpoint",
    "dynamics fit": "--checkpoint",
    "dimension layers": "--store",
}
"""Commands that find again what they had done, and the option that they need for it."""

SOON_S = 0.05
"""Seconds until a dropped signal comes again: by then the destructor is through."""
NO_DEVICE = "Unable to initialize backend"


class _Terminated(KeyboardInterrupt):
    """SIGTERM: end as on SIGINT, with another exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Parameters
    ----------
    arguments
        What follows ``antidrome`` on the command line; by default that of this process.
    """
    _open_streams()
    code = 0
    try:
        code = _dispatch(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone (`antidrome check FILE | head`)
        _discard_output()
    except OSError as error:  # a full disk under our output (`antidrome check FILE > there`)
        _discard_output()
        if code == 0:
            _complain(f"antidrome: what was printed is lost: {error.strerror or error}")
            code = 2
    return code


def usage() -> str:
    """Return the help text: every command with its line."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {line}" for name, line in COMMANDS.items()]
    return "\n".join(
        [
            "usage: antidrome COMMAND [OPTIONS]",
            "",
            "Neural models run backwards: from a recording to its causes.",
            "",
            *lines,
            "",
            "antidrome COMMAND --help lists the options of a command; antidrome --version tells the version.",
        ]
    )


def load_command(name: str) -> tuple[typing.Any, Callable[[typing.Any], int]]:
    """Import one command; return the annotation of ``run``'s parameter and its ``run``.

    The annotation is a dataclass of options, or the union of those of the sub-commands.
    """
    module = importlib.import_module(f"antidrome.cli.{name.replace(' ', '_')}")
    hints = typing.get_type_hints(module.run, include_extras=True)
    hints.pop("return", None)
    return next(iter(hints.values())), module.run


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        say(usage())
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        from antidrome import __version__

        say(f"antidrome {__version__}")
        return 0
    name, *options = arguments
    if options and f"{name} {options[0]}" in COMMANDS:
        name, *options = f"{name} {options[0]}", *options[1:]
    if name not in COMMANDS:
        _complain(f"antidrome: there is no command {name!r}.{did_you_mean(name, COMMANDS)}\n\n{usage()}")
        return 2
    with _ending_on_sigterm(), _interrupted_for_sure():
        return _guarded(name, options)


def _guarded(name: str, options: list[str]) -> int:
    """Run one command; every exception becomes a message on standard error and an exit code."""
    try:
        return _run(name, options)
    except AntidromeError as error:
        _report(f"antidrome {name}: {error}", error)
        return 2
    except KeyboardInterrupt as interrupt:
        again = shlex.join(["antidrome", *name.split(), *options])
        comes = _what_comes(name, options)
        _complain(f"\nInterrupted; no half-written file is left. The same command {comes}:\n  {again}")
        return 143 if isinstance(interrupt, _Terminated) else 130
    except BrokenPipeError:
        raise
    except OSError as error:
        if not _has_working_directory():
            gone = "the working directory is gone (deleted or moved). Change to one that is there, and run it again."
            _report(f"antidrome {name}: {gone}", error)
            return 2
        where = f"{error.filename}: " if error.filename else ""
        _report(f"antidrome {name}: {where}{error.strerror or error}", error)
        return 2
    except MemoryError as error:
        _report(f"antidrome {name}: not enough memory. {error}".rstrip(), error)
        return 2
    except Exception as error:
        if str(error).startswith(NO_DEVICE):  # a RuntimeError of JAX, without a class of its own
            wanted = f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}"
            advice = f"JAX finds no device for {wanted}. Unset it, or install JAX for that device."
            _report(f"antidrome {name}: {advice} ({error})", error)
            return 2
        traceback.print_exc()
        _complain(f"\nantidrome {name}: an unexpected error. This is a bug: please report the lines above.")
        return 1


def _what_comes(name: str, options: list[str]) -> str:
    """Whether an interrupted command finds what it had done."""
    needed = GO_ON.get(name, GO_ON.get(" ".join([name, *options[:1]])))
    if needed is None:
        return "starts again"
    if needed and needed not in [option.split("=")[0] for option in options]:
        return f"starts again (with {needed} it would go on)"
    return "goes on"


def _run(name: str, options: list[str]) -> int:
    import tyro

    config_class, run = load_command(name)
    defaults = defaults_from_file(config_class, options)
    flags = (tyro.conf.FlagCreatePairsOff,) if defaults is None else ()  # what a file switches on can be switched off
    try:
        config = tyro.cli(
            config_class,
            args=options,
            default=defaults if defaults is not None else tyro.MISSING_NONPROP,
            prog=f"antidrome {name}",
            config=(*flags, tyro.conf.OmitArgPrefixes),
        )
    except SystemExit as end:
        _tell_former([*name.split(), *options])
        return end.code if isinstance(end.code, int) else 2
    return run(config)


def _tell_former(words: list[str]) -> None:
    """Say what an option of a former name is called now."""
    typed = {word.split("=")[0].replace("_", "-") for word in words}
    for former, now in FORMER.items():
        *command, option = former.split()
        if words[: len(command)] == command and option in typed:
            _complain(f"{option} is called {now} now.")


def _has_working_directory() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _report(message: str, error: BaseException) -> None:
    """Write an error as one message; with ANTIDROME_DEBUG set, where it came from too."""
    notes = getattr(error, "__notes__", [])
    _complain("\n".join([message, *notes]))
    if os.environ.get("ANTIDROME_DEBUG"):
        traceback.print_exception(error)


def _open_streams() -> None:
    """Words never end the work: streams that are closed swallow them, and what an encoding lacks is spelled out."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif hasattr(stream, "reconfigure") and not (stream.encoding or "").lower().startswith("utf"):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Let what is still to be printed go nowhere, so that Python does not try again at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(text: str) -> None:
    """Write to standard error; control characters (of a hostile file or neuron name) are shown, not obeyed."""
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr.write(printable(text).encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stderr.flush()


@contextlib.contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """While a command runs, SIGTERM ends it as Ctrl-C does; outside the main thread nothing changes."""
    try:
        previous = signal.signal(signal.SIGTERM, _terminate)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise _Terminated


def _signal_the_main_thread(number: signal.Signals) -> None:
    """Where the system can, so that a call that waits there ends too."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(typing.cast("int", threading.main_thread().ident), number)
    else:
        _thread.interrupt_main(number)


@contextlib.contextmanager
def _interrupted_for_sure() -> Iterator[None]:
    """While a command runs, a signal that arrives in a destructor, where Python drops exceptions, is sent again."""
    previous = sys.unraisablehook
    timers: list[threading.Timer] = []

    def again(dropped: "sys.UnraisableHookArgs") -> None:
        if isinstance(dropped.exc_value, KeyboardInterrupt):
            number = signal.SIGTERM if isinstance(dropped.exc_value, _Terminated) else signal.SIGINT
            timers.append(threading.Timer(SOON_S, _signal_the_main_thread, [number]))
            timers[-1].start()
        else:
            previous(dropped)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = previous
        for timer in timers:
            timer.cancel()
