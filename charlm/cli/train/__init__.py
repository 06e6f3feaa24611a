"""`charlm train`.

command      parses the command line
options      the options and their help
new_run      the settings of a new run
resume       the settings of a resumed run
run          one run: read, plan, train, print, save
destination  where results are saved, and what must not be replaced
metrics      the file of --metrics
torchrun     several processes
"""
