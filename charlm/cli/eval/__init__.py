"""`charlm eval`.

command        parses the command line
options        the options and their help
option_checks  which values and combinations are accepted
figures        the figures of whole texts
compressors    the same from gzip, bzip2, xz and PPMd
lines          lines with their scores
answers        the answers of a model of pairs
classes        labels and tags: accuracy, F1, confusion table, errors
tables         named figures in columns, or as JSON
tokens         tables of tokens and words
heatmap        the surprisal in the text, on a terminal
"""
