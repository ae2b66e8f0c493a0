"""Names of directories."""

import secrets
from datetime import datetime


def new_name() -> str:
    """<date>_<time>_<random>, which never collides."""
    return f"{datetime.now():%Y-%m-%d_%H%M%S}_{secrets.token_hex(3)}"
