"""E-mail addresses: the one form in which each is stored and looked for."""

import email_validator

from telefonist.errors import FieldProblem, InvalidInput

# Whoever runs the service for a house of their own has people at names such as office.local. The library's way to allow
# them is to take them out of its list.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

LONGEST_EMAIL = 320
"""Characters that are looked at, which takes time; a valid address has at most 254."""


def email_address(text: str) -> str:
    """Bring an address to the form that is stored: normalised (NFC) and in lower case.

    Nobody is asked whether it exists, and names of internal networks are welcome. Raises InvalidInput.
    """
    if len(text) > LONGEST_EMAIL:
        problem = f"An email address has at most {LONGEST_EMAIL} characters."
        raise InvalidInput([FieldProblem("email", ("body", "email"), problem)])
    try:
        checked = email_validator.validate_email(text.strip(), check_deliverability=False, globally_deliverable=False)
    except email_validator.EmailNotValidError as error:
        raise InvalidInput([FieldProblem("email", ("body", "email"), str(error))]) from None
    return checked.normalized.lower()
