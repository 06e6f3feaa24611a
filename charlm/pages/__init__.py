"""HTML pages: each is one file that loads no other and runs no script but its own.

template    fill a page with its style, its script and its data
surprisal   a text, coloured by surprisal
model       a model that writes, scores and shows its states in a browser
weights     the arrays of a model in few bytes

`page.html`, `page.css`, `page.js` and `details.html` are what all pages share.
"""
