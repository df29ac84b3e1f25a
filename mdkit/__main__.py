"""`python -m mdkit` is the command line."""

from mdkit.cli import main

if __name__ == "__main__":
    main()
