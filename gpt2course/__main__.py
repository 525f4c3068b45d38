"""python -m gpt2course"""

import sys

from gpt2course.tools.cli import main

sys.exit(main())
