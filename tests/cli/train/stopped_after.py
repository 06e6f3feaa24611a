"""Run the command and stop it, as Ctrl-C does, before it takes step number STEPS.

`python stopped_after.py STEPS train ARGUMENT...`
"""

import os
import signal
import sys

from charlm.cli import main
from charlm.training.trainer import Trainer

steps, step = int(sys.argv.pop(1)), Trainer.step


def counted(self, number, rate):
    if number + 1 == steps:
        os.kill(os.getpid(), signal.SIGINT)
    return step(self, number, rate)


Trainer.step = counted
sys.argv[0] = "charlm"
main()
