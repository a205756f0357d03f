"""`python -m hemamodel.cli`."""

from hemamodel.cli import main

main()
