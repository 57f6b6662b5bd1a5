import sys

from windsock_embedded.cli import main

sys.exit(main())
