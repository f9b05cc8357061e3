"""Names that Python has dropped and old releases of oslo.messaging use; the releases themselves stay as they are.

Imported when the interpreter of such a release starts (see scripts/python-peers.sh).
"""

import collections
import collections.abc

# Python 3.10 has it in collections.abc only. Releases 5.35.6 and 9.5.2 derive two classes of their drivers from it.
collections.Mapping = collections.abc.Mapping
