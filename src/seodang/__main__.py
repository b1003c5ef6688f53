"""`python -m seodang`: the command, where its script is not on the path."""

from seodang.cli import main

if __name__ == "__main__":
    main()
