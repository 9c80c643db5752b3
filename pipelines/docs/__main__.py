"""Write or check the generated pages: `python -m pipelines.docs [--check]`."""

import sys

from pipelines.docs.pages import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
