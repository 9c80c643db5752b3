"""Write or check the generated pages: `python -m pipelines.docs [--check]`."""

import sys

from pipelines.docs import openapi, pages

if __name__ == "__main__":
    sys.exit(pages.main(sys.argv[1:]) | openapi.main(sys.argv[1:]))
