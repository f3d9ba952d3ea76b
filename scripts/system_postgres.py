"""Say which PostgreSQL of the system keeps the data where the wheel has none for this platform, or what to do."""

import os
import sys

from telefonist.errors import ConfigurationError
from telefonist.storage.embedded.account import own_account, unprivileged_account
from telefonist.storage.embedded.binaries import find_binaries
from telefonist.storage.embedded.placement import SYSTEM_DIR

try:
    binaries = find_binaries(own_account() if os.geteuid() else unprivileged_account(), SYSTEM_DIR)
    sys.stdout.write(f"PostgreSQL {binaries.major} of the system will be used, from {binaries.folder}.\n")
except ConfigurationError as error:
    sys.stdout.write(f"{error}\n")
