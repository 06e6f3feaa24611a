"""`charlm generate`.

command   parses the command line
options   the options and their help
seeds     seed texts from the command line, files and pipes
answers   a lexicon, and attention as a picture
classes   prints labels and tags
printing  prints texts, as they come or complete
"""
