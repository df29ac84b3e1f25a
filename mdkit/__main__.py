"""`python -m mdkit` is the command line."""

from mdkit.cli.main import main

if __name__ == "__main__":
    main()
