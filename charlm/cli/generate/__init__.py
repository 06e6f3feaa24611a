"""`charlm generate`.

command   parses the command line
options   the options and their help
seeds     seed texts from the command line, files and pipes
classes   prints labels and tags
printing  prints texts, as they come or complete
"""
