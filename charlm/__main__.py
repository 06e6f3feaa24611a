"""`python -m charlm`: the same command as `charlm`. torchrun starts charlm so."""

import signal


def main() -> None:
    """Run the command; Ctrl-C before its modules are loaded ends it without a message."""
    handles_interrupts = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if handles_interrupts:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from charlm.cli import main as run

    if handles_interrupts:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
