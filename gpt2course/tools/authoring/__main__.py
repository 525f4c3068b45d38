"""python -m gpt2course.tools.authoring"""

import sys

from gpt2course.tools.authoring.command import main

sys.exit(main())
