"""Generation and scoring of text in NumPy, without PyTorch.

model           a trained model: what commands and other programs use
generation_methods  its methods that generate text
signatures      the settings of generation in the signatures of these
runtime         one step of the network, for one stream or many
combination     a network and n-gram counts that predict as one
combination_weights  their weights, fitted on held-out text
classifier      a network for labels or tags
classification  labels and tags with their probabilities
class_scores    accuracy, F1, AUC, a confusion table, spans
encoder         recurrent layers that read whole sequences both ways
encoder_decoder a network for pairs, with attention
mixture         two networks that predict as one
sampling        logits → the next token
constraints     tokens that may not come next
seed_counts     names and phrases of a long seed text come again
stopping        where a text ends
seed_texts      what a network reads of seed texts and endings
sequences       the texts that are being generated
generation      sequences → text, token by token
candidates      several texts for each seed, and a filter that keeps some
edits           texts that are a few edits away
beam_search     the likeliest answers to a source
attention       what a network attends to, step by step
lexicon         known answers before those of a model
answers         how well a model of pairs answers
infilling       text between a seed and an ending
scoring         the score of a text
adaptive        the score of a text by counts that learn it
line_scores     the scores of lines
token_scores    the scores of tokens
bidirectional   the pseudo-likelihood of a text
inspection      states, gates and logits at each token
context_length  the score by the length of the context
"""
