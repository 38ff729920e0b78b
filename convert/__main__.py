"""``python -m convert`` and the console script: the same verbs."""

from convert.cli import main

if __name__ == "__main__":
    main()
