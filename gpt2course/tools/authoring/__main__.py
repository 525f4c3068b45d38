"""python -m gpt2course.authoring"""

import sys

from gpt2course.authoring.command import main

sys.exit(main())
