"""The body of the bulk statistics reply (procedure 344): decoded into snapshots, and encoded from them.

limits    what a body may hold
template  a record's bytes with its numbers left out
plan      a whole body as templates: compare, gather the numbers, scatter them
parse     reading a record that nothing is known of, with every check
scan      finding the known records in a body
decoder   ReplyDecoder, which remembers
encoder   the way back, and ReplyEncoder, which remembers
"""
