"""The command `retention`: `app` has the verbs, one module per group of them does what they say, the `print_*` modules
show the answers. Nothing is decided here that another program might ask for.
"""
