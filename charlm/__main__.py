"""The `charlm` command, which `python -m charlm` is, too."""

import signal


def main() -> None:
    """Run the command; Ctrl-C while its modules are still loading ends it without a word."""
    is_obeyed = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_obeyed:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from charlm.cli import main as run

    if is_obeyed:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
