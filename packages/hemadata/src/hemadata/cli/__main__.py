"""`python -m hemadata.cli`."""

from hemadata.cli import main

if __name__ == "__main__":
    main()
