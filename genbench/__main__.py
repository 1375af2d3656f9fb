"""`python -m genbench` is `genbench`, also under torchrun."""

from genbench.cli.app import main

if __name__ == "__main__":
    main()
