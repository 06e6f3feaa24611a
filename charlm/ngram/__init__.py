"""N-gram counts of the training text, which predict beside the network. NumPy alone.

counting   ids → the table: which tokens followed which contexts, how often
table      the table as arrays, and what it predicts after a context
arrays     the arrays of the model file
adaptive   counts that learn a text while it is read
pruning    a smaller table
"""

from charlm.ngram.arrays import from_arrays as from_arrays
from charlm.ngram.arrays import to_arrays as to_arrays
from charlm.ngram.counting import count_ngrams as count_ngrams
from charlm.ngram.pruning import prune as prune
from charlm.ngram.table import NGramTable as NGramTable
