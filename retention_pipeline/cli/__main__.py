"""`python -m retention_pipeline.cli`, for where the command `retention` is not on the PATH."""

from retention_pipeline.cli.entry import main

main()
