"""Studies of signals and books: what says what comes next, for how long, and by how much.

`study` for measures, `markouts` for trades and fills, `next_move`, `leadlag`, `profile`,
`signature` and `around`; each returns one object with a sentence, tables, `plot()` and `save()`.
`forward` is the brick of most. All are blind across gaps.
"""
