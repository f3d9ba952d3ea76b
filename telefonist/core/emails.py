"""E-mail addresses: the one form in which each is stored and looked for."""

from email_validator import EmailNotValidError, validate_email

from telefonist.errors import FieldProblem, InvalidInput


def email_address(text: str) -> str:
    """Bring an address to the form that is stored: normalised (NFC) and in lower case.

    Nobody is asked whether it exists, and names of internal networks are welcome. Raises InvalidInput.
    """
    try:
        checked = validate_email(text.strip(), check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        raise InvalidInput([FieldProblem("email", ("body", "email"), str(error))]) from None
    return checked.normalized.lower()
